"""The demo's upstream system: emits events, and reads results and dead letters."""

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
    """A result event, as it was read from the results topic."""

    type: str
    event_id: str
    value: dict[str, Any]

    @property
    def signin_id(self) -> str:
        """The sign-in that the result is for."""
        return str(self.value["signin_id"])

    def __str__(self) -> str:
        parts = [self.type.removeprefix("signin.")]
        if "reason" in self.value:
            parts.append(str(self.value["reason"]))
        if "attempts_left" in self.value:
            parts.append(f"({self.value['attempts_left']} left)")
        return " ".join(parts)


@dataclass(frozen=True)
class DeadLetter:
    """A record on a dead-letter topic."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers

    def header(self, name: str) -> str:
        """Return a header as text, empty if it is missing."""
        return dict(self.headers).get(name, b"").decode()


class Upstream:
    """A producer and two consumers, connected between ``start`` and ``stop``."""

    def __init__(self, bootstrap_servers: str, topics: Topics) -> None:
        self.topics = topics
        self.emitted = 0
        self.results: Arrivals[Outcome] = Arrivals()
        self.dead_letters: Arrivals[DeadLetter] = Arrivals()
        self.contradictions: list[str] = []

        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True)
        self._result_consumer = _consumer(bootstrap_servers, topics.results)
        self._dead_letter_consumer = _consumer(bootstrap_servers, *topics.dead_letters)
        self._value_by_event_id: dict[str, bytes] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect. The topics must exist."""
        for client in self._clients():
            await client.start()

        self._tasks = [
            asyncio.create_task(self._read_results()),
            asyncio.create_task(self._read_dead_letters()),
        ]

    async def stop(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

        for client in self._clients():
            await client.stop()

    async def emit(self, topic: str, value: bytes, key: str | None = None, headers: Headers = ()) -> None:
        """Send a record, and return once the broker has it."""
        key_bytes = key.encode() if key else None
        await self._producer.send_and_wait(topic, value, key=key_bytes, headers=list(headers))
        self.emitted += 1

    async def wait_for_results(self, signin_id: str, count: int, within_s: float) -> list[Outcome]:
        """Return the results of a sign-in, in order, once there are at least ``count``. Raises ``TimeoutError``."""

        def is_for_sign_in(outcome: Outcome) -> bool:
            return outcome.signin_id == signin_id

        return await self.results.matching(is_for_sign_in, count, within_s, "results")

    def results_of(self, signin_id: str) -> list[Outcome]:
        """Return the results of a sign-in so far."""
        return [outcome for outcome in self.results.items if outcome.signin_id == signin_id]

    def _clients(self) -> tuple[Any, ...]:
        return self._producer, self._result_consumer, self._dead_letter_consumer

    async def _read_results(self) -> None:
        async for record in self._result_consumer:
            headers = {name: value.decode() for name, value in record.headers}
            event_id = headers["ce_id"]
            is_new = event_id not in self._value_by_event_id

            if self._value_by_event_id.setdefault(event_id, record.value) != record.value:
                self.contradictions.append(f"two results with id {event_id} differ")
            if is_new:
                await self.results.add(Outcome(headers["ce_type"], event_id, json.loads(record.value)))

    async def _read_dead_letters(self) -> None:
        async for record in self._dead_letter_consumer:
            await self.dead_letters.add(DeadLetter(record.topic, record.key, record.value, tuple(record.headers)))


def _consumer(bootstrap_servers: str, *topics: str) -> Any:
    return AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
