"""The world around a worker, in a process of its own: people, the mail server, siteverify and DNS."""

import asyncio
import contextlib
import json
import re
import secrets
import time
import uuid
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiosmtpd.smtp import Envelope, Session

from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.siteverify import SiteverifyServer, passing_token
from tests.benchmarks.performance.pacing import Took, Visit, crowded, spaced
from tests.benchmarks.performance.peers import serve

_CODE: Final = re.compile(rb"^(\d{8})\r?$", re.MULTILINE)  # a line of the text part
_LAST: Final = frozenset({"signin.succeeded", "signin.failed", "signin.expired", "signin.rejected"})
_PATIENCE_S: Final = 120.0
_NOBODYS: Final = [("ce_id", b"nobody's"), ("ce_type", b"signin.code_sent")]


class QuickMailServer(MailServer):
    """A mail server that looks at the bytes of a mail for the code, and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: dict[str, asyncio.Future[str]] = {}
        self.second_mails = 0

    async def take(self, _session: Session, envelope: Envelope, *, accepted: bool) -> None:
        """Tell the one who waits."""
        found = _CODE.search(envelope.original_content or b"")
        waiting = self.codes.pop(envelope.rcpt_tos[0], None)
        self.second_mails += waiting is None
        if found and waiting and not waiting.done():
            waiting.set_result(found[1].decode())


class Post:
    """One way's topics: events go out, results come in."""

    def __init__(self, bootstrap_servers: str, requested: str, submitted: str, results: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._results = results
        self.requested = requested
        self.submitted = submitted
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=1)
        self._reader = AIOKafkaConsumer(results, bootstrap_servers=bootstrap_servers, auto_offset_reset="latest")
        self.sent: dict[str, asyncio.Future[None]] = {}
        self.over: dict[str, asyncio.Future[str]] = {}
        self.repeats = 0
        self._heard: set[bytes] = set()

    async def start(self) -> None:
        """Connect; every result from now on is heard."""
        await self._producer.start()
        await self._reader.start()
        await self._reader.seek_to_end()
        for partition in self._reader.assignment():
            await self._reader.position(partition)
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Disconnect."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._reader.stop()
        await self._producer.stop()

    async def emit(self, topic: str, key: str, event: dict[str, Any]) -> None:
        """Send an event; it leaves within a millisecond or so."""
        await self._producer.send(topic, json.dumps(event).encode(), key=key.encode())

    async def publish_s(self, times: int) -> float:
        """Publish on the results topic, one after the other, as the worker does; return the median time."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers, acks="all", enable_idempotence=True, linger_ms=0
        )
        await producer.start()
        took = []

        for _ in range(times):
            begun = time.perf_counter()
            await producer.send_and_wait(self._results, b"{}", key=b"nobody", headers=_NOBODYS)
            took.append(time.perf_counter() - begun)

        await producer.stop()

        return median(took)

    async def _listen(self) -> None:
        async for record in self._reader:
            headers = dict(record.headers)
            self._repeated(headers["ce_id"])
            signin_id = record.key.decode()
            kind = headers["ce_type"].decode()
            waiting = self.over.pop(signin_id, None) if kind in _LAST else self.sent.pop(signin_id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(kind)

    def _repeated(self, event_id: bytes) -> None:
        self.repeats += event_id in self._heard
        self._heard.add(event_id)


class World:
    """What is asked of the world."""

    def __init__(self) -> None:
        self._mail_server = QuickMailServer()
        self._siteverify = SiteverifyServer()
        self._dns_server = DnsServer()
        self._posts: dict[str, Post] = {}
        self._waiting: list[asyncio.Task[None]] = []

    async def addresses(self) -> dict[str, str]:
        """Start the servers and return the worker's settings for them."""
        for server in (self._mail_server, self._siteverify, self._dns_server):
            await server.start()

        return {
            "SIGNIN_SMTP__HOST": self._mail_server.host,
            "SIGNIN_SMTP__PORT": str(self._mail_server.port),
            "SIGNIN_TURNSTILE__URL": self._siteverify.url,
            "SIGNIN_DNS__NAMESERVERS": self._dns_server.host,
            "SIGNIN_DNS__PORT": str(self._dns_server.port),
        }

    async def connect(self, way: str, **topics: str) -> None:
        """Get into touch with one way's topics."""
        post = self._posts[way] = Post(**topics)
        await post.start()

    async def crowd(self, way: str, signins: int, seats: int) -> dict[str, Any]:
        """Let people sign in as fast as they are served."""
        return self._told(await crowded(lambda visit: self._signs_in(self._posts[way], visit), signins, seats))

    async def pace(self, way: str, signins: int, per_s: float) -> dict[str, Any]:
        """Let people sign in at a pace."""
        return self._told(await spaced(lambda visit: self._signs_in(self._posts[way], visit), signins, per_s))

    async def leave_waiting(self, way: str, signins: int, seats: int) -> dict[str, Any]:
        """Let people ask for a code and never type it."""
        return self._told(await crowded(lambda visit: self._only_asks(self._posts[way], visit), signins, seats))

    async def publish_s(self, way: str, times: int) -> float:
        """Return the median time that a publication with all acknowledgements takes, in seconds."""
        return await self._posts[way].publish_s(times)

    async def repeats(self, way: str) -> dict[str, int]:
        """Return how many results one way said twice, and how many mails came twice, of all ways."""
        return {"results": self._posts[way].repeats, "mails": self._mail_server.second_mails}

    async def stop(self) -> None:
        """Disconnect."""
        for post in self._posts.values():
            await post.stop()
        for server in (self._mail_server, self._siteverify, self._dns_server):
            await server.stop()

    async def _signs_in(self, post: Post, visit: Visit) -> None:
        signin_id, address, code = await self._asks(post, visit)
        over = post.over[signin_id] = asyncio.get_running_loop().create_future()

        async def submits() -> float:
            begun = time.perf_counter()
            submission = {"submission_id": str(uuid.uuid4()), "signin_id": signin_id, "email": address, "code": code}
            await post.emit(post.submitted, signin_id, {**submission, "submitted_at": _now()})
            kind = await _within(over, "a last result")
            if kind != "signin.succeeded":
                raise TimeoutError(f"{kind} instead of a success")
            return time.perf_counter() - begun

        await visit.submits(submits)
        visit.is_through(signin_id)

    async def _only_asks(self, post: Post, visit: Visit) -> None:
        await self._asks(post, visit)

    async def _asks(self, post: Post, visit: Visit) -> tuple[str, str, str]:
        signin_id = secrets.token_hex(16)
        address = f"{signin_id}@ok.example"
        loop = asyncio.get_running_loop()
        mail: asyncio.Future[str] = loop.create_future()
        self._mail_server.codes[address] = mail
        sent = post.sent[signin_id] = loop.create_future()

        async def asks() -> float:
            begun = time.perf_counter()
            await post.emit(post.requested, signin_id, _request(signin_id, address))
            await _within(mail, "a mail")
            took = time.perf_counter() - begun
            await _within(sent, "word of a mail")
            return took

        await visit.asks(asks)

        return signin_id, address, mail.result()

    def _told(self, took: Took) -> dict[str, Any]:
        self._siteverify.calls.clear()
        self._dns_server.questions.clear()
        return took.as_json()


def _request(signin_id: str, address: str) -> dict[str, Any]:
    return {
        "signin_id": signin_id,
        "attempt": 1,
        "email": address,
        "requested_at": _now(),
        "turnstile_token": passing_token(signin_id),
        "client": {"ip": "203.0.113.7", "user_agent": "Mozilla/5.0 Firefox/140.0", "locale": "en-GB"},
    }


async def _within(future: "asyncio.Future[Any]", what: str) -> Any:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await future
    except TimeoutError:
        raise TimeoutError(f"{what} did not come within {_PATIENCE_S:g} s") from None


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


async def main() -> None:
    """Serve."""
    world = World()
    loads = (world.crowd, world.pace, world.leave_waiting)
    commands = (world.addresses, world.connect, *loads, world.publish_s, world.repeats)

    try:
        await serve({command.__name__: command for command in commands})
    finally:
        with contextlib.suppress(OSError):
            await world.stop()


if __name__ == "__main__":
    asyncio.run(main())
