"""The demo's own ends of the topics: it emits events as upstream does, and reads results and dead letters."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.local.arrivals import Arrivals
from deploy.local.topics import Topics

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Outcome:
    """A result event as it stands on the results topic."""

    type: str
    event_id: str
    value: dict[str, Any]

    @property
    def signin_id(self) -> str:
        """Whose it is."""
        return str(self.value["signin_id"])

    def __str__(self) -> str:
        parts = [self.type.removeprefix("signin.")]
        parts += [str(self.value["reason"])] if "reason" in self.value else []
        parts += [f"({self.value['attempts_left']} left)"] if "attempts_left" in self.value else []
        return " ".join(parts)


@dataclass(frozen=True)
class DeadLetter:
    """A record on a dead-letter topic."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers

    def header(self, name: str) -> str:
        """Return a header as text; empty if it is missing."""
        return dict(self.headers).get(name, b"").decode()


class Wire:
    """Producer and readers, between ``start`` and ``stop``."""

    def __init__(self, bootstrap_servers: str, topics: Topics) -> None:
        self.topics = topics
        self.results: Arrivals[Outcome] = Arrivals()
        self.dead_letters: Arrivals[DeadLetter] = Arrivals()
        self.contradictions: list[str] = []
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True)
        self._results = _reader(bootstrap_servers, topics.results)
        self._dead = _reader(bootstrap_servers, *topics.dead_letters)
        self._bytes_of: dict[str, bytes] = {}
        self.emitted = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect; the topics have to be there."""
        await self._producer.start()
        await self._results.start()
        await self._dead.start()
        self._tasks = [asyncio.create_task(self._read_results()), asyncio.create_task(self._read_dead_letters())]

    async def stop(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in (self._producer, self._results, self._dead):
            await client.stop()

    async def emit(self, topic: str, value: bytes, key: str | None = None, headers: Headers = ()) -> None:
        """Send a record; returns once the broker has it."""
        await self._producer.send_and_wait(topic, value, key=key.encode() if key else None, headers=list(headers))
        self.emitted += 1

    async def outcomes(self, signin_id: str, count: int, within_s: float) -> list[Outcome]:
        """Return the results of a sign-in, in order, once there are at least ``count``. Raises ``TimeoutError``."""

        def wanted(outcome: Outcome) -> bool:
            return outcome.signin_id == signin_id

        return await self.results.matching(wanted, count, within_s, "results")

    def seen(self, signin_id: str) -> list[Outcome]:
        """Return the results of a sign-in so far."""
        return [outcome for outcome in self.results.items if outcome.signin_id == signin_id]

    async def _read_results(self) -> None:
        async for record in self._results:
            headers = {name: value.decode() for name, value in record.headers}
            event_id, repeated = headers["ce_id"], headers["ce_id"] in self._bytes_of
            if self._bytes_of.setdefault(event_id, record.value) != record.value:
                self.contradictions.append(f"two results with id {event_id} differ")
            if not repeated:
                await self.results.add(Outcome(headers["ce_type"], event_id, json.loads(record.value)))

    async def _read_dead_letters(self) -> None:
        async for record in self._dead:
            await self.dead_letters.add(DeadLetter(record.topic, record.key, record.value, tuple(record.headers)))


def _reader(bootstrap_servers: str, *topics: str) -> Any:
    return AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
