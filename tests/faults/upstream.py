"""Plays the services around the worker: emits events, records them in the ledger, and receives the results."""

import asyncio
import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError

from deploy.local.events import request_event, submission_event
from deploy.local.topics import Topics
from schemas.results import TERMINAL_TYPES
from tests.faults.ledger import Event, Fate, Ledger, Poison, Position, Request, Submission

Headers = tuple[tuple[str, bytes], ...]
MAX_RECORD_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True)
class Emission:
    """A record that Kafka has acknowledged. ``timestamp``: the broker's, in milliseconds."""

    position: Position
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    event: Event


class SignInEnded(Exception):
    """Raised when a test waits for more results of a sign-in that has already ended."""


class Upstream:
    """Connects to the broker directly, between ``start`` and ``stop``."""

    def __init__(self, bootstrap_servers: str, topics: Topics, ledger: Ledger) -> None:
        self.topics = topics
        self.ledger = ledger
        self._kinds: dict[str, dict[str, str]] = defaultdict(dict)  # sign-in id, event id, kind
        self._ended: set[str] = set()
        self._changed = asyncio.Condition()
        self._followers: list[Callable[[Emission], None]] = []

        self._bootstrap_servers = bootstrap_servers
        self._producer = self._new_producer()
        self._reader = AIOKafkaConsumer(
            topics.results, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest"
        )
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect. The topics must exist."""
        await self._producer.start()
        await self._reader.start()
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Disconnect."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self._reader.stop()
        await self._producer.stop()

    def follow(self, follower: Callable[[Emission], None]) -> None:
        """Call ``follower`` with every record from now on, once it is acknowledged."""
        self._followers.append(follower)

    async def compress_with(self, codec: str) -> None:
        """Compress what is emitted from now on."""
        await self._replace_producer(codec)

    async def start_anew(self) -> None:
        """Begin to count the records anew: a log that has lost some of them refuses the next number."""
        await self._replace_producer()

    async def refresh(self) -> None:
        """Learn at once of new topics and partitions."""
        await self._producer.client.force_metadata_update()

    async def request(
        self,
        signin_id: str,
        address: str,
        *,
        attempt: int = 1,
        token: str | None = None,
        times: int = 1,
        headers: Headers = (),
        fate: Fate = "applied",
    ) -> None:
        """Emit ``signin.requested``, the same bytes ``times`` times."""
        event = request_event(signin_id, address, attempt=attempt, token=token or None)
        value = json.dumps(event).encode()
        entry = Request(signin_id, attempt, fate)

        for _ in range(times):
            await self.emit(self.topics.requested, signin_id.encode(), value, headers, entry)

    async def submit(
        self,
        signin_id: str,
        address: str,
        code: str,
        *,
        submission_id: str = "",
        times: int = 1,
        headers: Headers = (),
        fate: Fate = "applied",
    ) -> str:
        """Emit ``otp.submitted``, the same bytes ``times`` times; return the submission's id."""
        event = submission_event(signin_id, address, code, submission_id=submission_id)
        submission_id = event["submission_id"]
        value = json.dumps(event).encode()
        entry = Submission(signin_id, submission_id, fate)

        for _ in range(times):
            await self.emit(self.topics.submitted, signin_id.encode(), value, headers, entry)

        return submission_id

    async def poison(self, topic: str, value: bytes | None, headers: Headers = (), key: bytes | None = None) -> None:
        """Emit a record that cannot be applied."""
        key = key if key is not None else secrets.token_bytes(8)
        await self.emit(topic, key, value, headers, Poison(key, value, headers))

    async def emit(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, event: Event) -> None:
        """Send a record, wait for the broker's acknowledgement, and add the event to the ledger."""
        acknowledgement = await self._enqueue(topic, value, key=key, headers=list(headers))
        sent = await acknowledgement
        position = (sent.topic, sent.partition, sent.offset)
        self.ledger.add(position, event)

        for follower in self._followers:
            follower(Emission(position, sent.timestamp, key, value, headers, event))

    async def _enqueue(self, topic: str, value: bytes | None, **rest: Any) -> "asyncio.Future[Any]":
        """Return a future that is done once the broker has the record. Retries while the producer's buffer is full."""
        while True:
            try:
                future: asyncio.Future[Any] = await self._producer.send(topic, value, **rest)
            except KafkaTimeoutError:
                continue
            return future

    async def wait_for_results(self, signin_id: str, count: int, within_s: float, kind: str = "") -> None:
        """Wait until there are ``count`` different results of a sign-in, of one kind or of any.

        Raises ``TimeoutError``, or ``SignInEnded`` if the sign-in ends with fewer results.
        """

        def received() -> int:
            return sum(one.startswith(kind) for one in self._kinds[signin_id].values())

        try:
            async with self._changed, asyncio.timeout(within_s):
                await self._changed.wait_for(lambda: received() >= count or signin_id in self._ended)
        except TimeoutError:
            raise TimeoutError(f"{received()} of {count} results within {within_s:g} s") from None

        if received() < count:
            raise SignInEnded

    def have_ended(self, signin_ids: Sequence[str]) -> bool:
        """Tell whether all of these sign-ins have had their last result."""
        return self._ended.issuperset(signin_ids)

    async def _replace_producer(self, codec: str | None = None) -> None:
        await self._producer.stop()
        self._producer = self._new_producer(codec)
        await self._producer.start()

    def _new_producer(self, codec: str | None = None) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            enable_idempotence=True,
            max_request_size=MAX_RECORD_BYTES,
            compression_type=codec,
        )

    async def _listen(self) -> None:
        async for record in self._reader:
            headers = {name: value.decode() for name, value in record.headers}
            signin_id = headers["ce_subject"]
            kind = headers["ce_type"]

            async with self._changed:
                self._kinds[signin_id][headers["ce_id"]] = kind
                if kind in TERMINAL_TYPES:
                    self._ended.add(signin_id)
                self._changed.notify_all()


def new_signin_id() -> str:
    """Return a random id of 128 bits, in hex because it becomes part of addresses."""
    return secrets.token_hex(16)
