"""Upstream's and downstream's ends of the topics: emits events into the ledger, and hears results as they come."""

import asyncio
import json
import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError

from deploy.local.events import request_event, submission_event
from deploy.local.topics import Topics
from schemas.results import TERMINAL_TYPES
from tests.faults.ledger import Event, Fate, Ledger, Poison, Request, Submission

Headers = tuple[tuple[str, bytes], ...]
LARGEST: Final = 8 * 1024 * 1024


class SignInIsOver(Exception):
    """Raised when somebody waits for a result of a sign-in that has had its last."""


class Wire:
    """Connected between ``start`` and ``stop``, directly to the broker."""

    def __init__(self, bootstrap_servers: str, topics: Topics, ledger: Ledger) -> None:
        self.topics = topics
        self.ledger = ledger
        self._heard: dict[str, dict[str, str]] = defaultdict(dict)  # sign-in, event id, kind
        self._over: set[str] = set()
        self._news = asyncio.Condition()
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, enable_idempotence=True, max_request_size=LARGEST
        )
        self._reader = AIOKafkaConsumer(
            topics.results, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest"
        )
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect; the topics have to be there."""
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
        """Emit ``signin.requested``, the same bytes ``times`` times over."""
        event = request_event(signin_id, address, attempt=attempt, token=token or None)
        note = Request(signin_id, attempt, fate)
        for _ in range(times):
            await self.emit(self.topics.requested, signin_id.encode(), json.dumps(event).encode(), headers, note)

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
        """Emit ``otp.submitted``, the same ``times`` times over; return the submission's id."""
        event = submission_event(signin_id, address, code, submission_id=submission_id)
        submission_id = event["submission_id"]
        note = Submission(signin_id, submission_id, fate)
        for _ in range(times):
            await self.emit(self.topics.submitted, signin_id.encode(), json.dumps(event).encode(), headers, note)

        return submission_id

    async def poison(self, topic: str, value: bytes | None, headers: Headers = (), key: bytes | None = None) -> None:
        """Emit what nobody can apply."""
        key = key if key is not None else secrets.token_bytes(8)
        await self.emit(topic, key, value, headers, Poison(key, value, headers))

    async def emit(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, event: Event) -> None:
        """Send a record; returns once the broker has it and the ledger knows."""
        done = await (await self._enqueued(topic, value, key=key, headers=list(headers)))
        self.ledger.add((done.topic, done.partition, done.offset), event)

    async def _enqueued(self, topic: str, value: bytes | None, **rest: Any) -> "asyncio.Future[Any]":
        """Return what is done once the broker has the record. While brokers are away, the producer has no room."""
        while True:
            try:
                future: asyncio.Future[Any] = await self._producer.send(topic, value, **rest)
            except KafkaTimeoutError:
                continue
            return future

    async def hear(self, signin_id: str, count: int, within_s: float, kind: str = "") -> None:
        """Wait until there are ``count`` different results of a sign-in, of one kind or of any.

        Raises ``TimeoutError``, and ``SignInIsOver`` if there will not be that many.
        """

        def heard() -> int:
            return sum(one.startswith(kind) for one in self._heard[signin_id].values())

        try:
            async with self._news, asyncio.timeout(within_s):
                await self._news.wait_for(lambda: heard() >= count or signin_id in self._over)
        except TimeoutError:
            raise TimeoutError(f"{heard()} of {count} results within {within_s:g} s") from None

        if heard() < count:
            raise SignInIsOver

    def are_over(self, signin_ids: Sequence[str]) -> bool:
        """Tell whether each of these sign-ins has had its last result."""
        return self._over.issuperset(signin_ids)

    async def _listen(self) -> None:
        async for record in self._reader:
            headers = {name: value.decode() for name, value in record.headers}
            signin_id = headers["ce_subject"]
            kind = headers["ce_type"]
            async with self._news:
                self._heard[signin_id][headers["ce_id"]] = kind
                if kind in TERMINAL_TYPES:
                    self._over.add(signin_id)
                self._news.notify_all()


def new_signin_id() -> str:
    """Draw an id of 128 bit."""
    return secrets.token_hex(16)
