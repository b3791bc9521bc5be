"""Dead-letter topics in memory."""

import asyncio
from dataclasses import dataclass

from consumers.ports import Headers, KafkaUnavailable


@dataclass(frozen=True)
class Written:
    """One dead letter."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class FakeDeadLetterWriter:
    """Fulfils ``DeadLetterWriter``: keeps what it acknowledges in ``written``; ``failures`` calls raise before that."""

    def __init__(self) -> None:
        self.written: list[Written] = []
        self.failures = 0

    async def write(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Acknowledge, or raise."""
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise KafkaUnavailable
        self.written.append(Written(topic, key, value, headers))
