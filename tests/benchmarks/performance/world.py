"""The world around a worker, in a process of its own: people, a mail server, siteverify and DNS."""

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
from deploy.local.servers.outside import outside_settings
from deploy.local.servers.siteverify import SiteverifyServer, passing_token
from tests.benchmarks.performance.pacing import LoadResult, Visit, run_crowd, run_paced
from tests.benchmarks.performance.peers import serve

_CODE: Final = re.compile(rb"^(\d{8})\r?$", re.MULTILINE)  # a line of the text part
_TERMINAL: Final = frozenset({"signin.succeeded", "signin.failed", "signin.expired", "signin.rejected"})
_PATIENCE_S: Final = 120.0
_PROBE_HEADERS: Final = [("ce_id", b"nobody's"), ("ce_type", b"signin.code_sent")]


class QuickMailServer(MailServer):
    """A mail server that only searches a mail's bytes for the code, and stores nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: dict[str, asyncio.Future[str]] = {}
        self.second_mails = 0

    async def keep(self, session: Session, envelope: Envelope, *, accepted: bool) -> None:
        """Hand the code to whoever waits for it."""
        code = _CODE.search(envelope.original_content or b"")
        waiting = self.codes.pop(envelope.rcpt_tos[0], None)
        self.second_mails += waiting is None

        if code and waiting and not waiting.done():
            waiting.set_result(code[1].decode())


class Upstream:
    """The services around one way's worker: emits events, receives results."""

    def __init__(self, bootstrap_servers: str, requested: str, submitted: str, results: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._results = results
        self.requested = requested
        self.submitted = submitted
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=1)
        self._reader = AIOKafkaConsumer(results, bootstrap_servers=bootstrap_servers, auto_offset_reset="latest")
        self.sent: dict[str, asyncio.Future[None]] = {}
        self.ended: dict[str, asyncio.Future[str]] = {}
        self.repeats = 0
        self._event_ids: set[bytes] = set()

    async def start(self) -> None:
        """Connect. Every result from now on is received."""
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
        """Send an event. It leaves within about a millisecond."""
        await self._producer.send(topic, json.dumps(event).encode(), key=key.encode())

    async def publish_time_s(self, times: int) -> float:
        """Publish repeatedly to the results topic, as the worker does; return the median time in seconds."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
        )
        took = []
        await producer.start()

        for _ in range(times):
            begun = time.perf_counter()
            await producer.send_and_wait(self._results, b"{}", key=b"nobody", headers=_PROBE_HEADERS)
            took.append(time.perf_counter() - begun)

        await producer.stop()

        return median(took)

    async def _listen(self) -> None:
        async for record in self._reader:
            headers = dict(record.headers)
            self._count_repeats(headers["ce_id"])
            signin_id = record.key.decode()
            kind = headers["ce_type"].decode()

            futures: dict[str, Any] = self.ended if kind in _TERMINAL else self.sent
            waiting = futures.pop(signin_id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(kind)

    def _count_repeats(self, event_id: bytes) -> None:
        self.repeats += event_id in self._event_ids
        self._event_ids.add(event_id)


class World:
    """The commands that the benchmark sends to this process."""

    def __init__(self) -> None:
        self._mail_server = QuickMailServer()
        self._siteverify = SiteverifyServer()
        self._dns_server = DnsServer()
        self._upstreams: dict[str, Upstream] = {}
        self._waiting: list[asyncio.Task[None]] = []

    async def start(self) -> dict[str, str]:
        """Start the servers and return the worker's settings for them."""
        for server in (self._mail_server, self._siteverify, self._dns_server):
            await server.start()

        return {
            **outside_settings(self._mail_server, self._siteverify, self._dns_server),
        }

    async def connect(self, way: str, **topics: str) -> None:
        """Connect to one way's topics."""
        upstream = self._upstreams[way] = Upstream(**topics)
        await upstream.start()

    async def crowd(self, way: str, signins: int, seats: int) -> dict[str, Any]:
        """Let people sign in as fast as possible."""
        upstream = self._upstreams[way]
        return self._report(await run_crowd(lambda visit: self._sign_in(upstream, visit), signins, seats))

    async def pace(self, way: str, signins: int, per_s: float) -> dict[str, Any]:
        """Let people sign in at a fixed rate."""
        upstream = self._upstreams[way]
        return self._report(await run_paced(lambda visit: self._sign_in(upstream, visit), signins, per_s))

    async def leave_waiting(self, way: str, signins: int, seats: int) -> dict[str, Any]:
        """Let people request a code and never submit it."""
        upstream = self._upstreams[way]
        return self._report(await run_crowd(lambda visit: self._only_request(upstream, visit), signins, seats))

    async def publish_time_s(self, way: str, times: int) -> float:
        """Return the median time of a publication with all acknowledgements, in seconds."""
        return await self._upstreams[way].publish_time_s(times)

    async def repeats(self, way: str) -> dict[str, int]:
        """Return how many results one way repeated, and how many second mails all ways sent."""
        return {"results": self._upstreams[way].repeats, "mails": self._mail_server.second_mails}

    async def stop(self) -> None:
        """Disconnect."""
        for upstream in self._upstreams.values():
            await upstream.stop()
        for server in (self._mail_server, self._siteverify, self._dns_server):
            await server.stop()

    async def _sign_in(self, upstream: Upstream, visit: Visit) -> None:
        signin_id, address, code = await self._request(upstream, visit)
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        upstream.ended[signin_id] = ended

        async def submit() -> float:
            begun = time.perf_counter()
            await upstream.emit(upstream.submitted, signin_id, _submission(signin_id, address, code))
            kind = await _within(ended, "a terminal result")
            if kind != "signin.succeeded":
                raise TimeoutError(f"{kind} instead of a success")
            return time.perf_counter() - begun

        await visit.submit(submit)
        visit.finish(signin_id)

    async def _only_request(self, upstream: Upstream, visit: Visit) -> None:
        await self._request(upstream, visit)

    async def _request(self, upstream: Upstream, visit: Visit) -> tuple[str, str, str]:
        signin_id = secrets.token_hex(16)
        address = f"{signin_id}@ok.example"
        loop = asyncio.get_running_loop()
        mail: asyncio.Future[str] = loop.create_future()
        self._mail_server.codes[address] = mail
        sent = upstream.sent[signin_id] = loop.create_future()

        async def request() -> float:
            begun = time.perf_counter()
            await upstream.emit(upstream.requested, signin_id, _request(signin_id, address))
            await _within(mail, "a mail")
            took = time.perf_counter() - begun
            await _within(sent, "signin.code_sent")
            return took

        await visit.request(request)

        return signin_id, address, mail.result()

    def _report(self, result: LoadResult) -> dict[str, Any]:
        self._siteverify.calls.clear()
        self._dns_server.questions.clear()
        return result.as_json()


def _request(signin_id: str, address: str) -> dict[str, Any]:
    return {
        "signin_id": signin_id,
        "attempt": 1,
        "email": address,
        "requested_at": _now(),
        "turnstile_token": passing_token(signin_id),
        "client": {
            "ip": "203.0.113.7",
            "user_agent": "Mozilla/5.0 Firefox/140.0",
            "locale": "en-GB",
        },
    }


def _submission(signin_id: str, address: str, code: str) -> dict[str, Any]:
    return {
        "submission_id": str(uuid.uuid4()),
        "signin_id": signin_id,
        "email": address,
        "code": code,
        "submitted_at": _now(),
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
    """Serve commands until stdin is closed."""
    world = World()
    loads = (world.crowd, world.pace, world.leave_waiting)
    commands = (world.start, world.connect, *loads, world.publish_time_s, world.repeats)

    try:
        await serve({command.__name__: command for command in commands})
    finally:
        with contextlib.suppress(OSError):
            await world.stop()


if __name__ == "__main__":
    asyncio.run(main())
