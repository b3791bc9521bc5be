"""Dead-letter topics in memory."""

import asyncio
from dataclasses import dataclass

from consumers.ports import Headers, KafkaUnavailable, RecordRefused


@dataclass(frozen=True)
class Written:
    """A dead letter."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class FakeDeadLetterWriter:
    """Implements ``DeadLetterWriter``: keeps what it acknowledges in ``written``; ``failures`` calls raise before that.

    A record of more than ``max_bytes`` is refused, and ``failures_after_refusal`` calls after it raise.
    """

    def __init__(self, max_bytes: int = 8 * 1024 * 1024) -> None:
        self.written: list[Written] = []
        self.failures = 0
        self.failures_after_refusal = 0
        self.refused = 0
        self._max_bytes = max_bytes

    async def write(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Acknowledge, or raise."""
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise KafkaUnavailable
        if _size(key, value, headers) > self._max_bytes:
            self.refused += 1
            self.failures = self.failures_after_refusal
            raise RecordRefused

        self.written.append(Written(topic, key, value, headers))


def _size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    texts = sum(len(name) + len(text or b"") for name, text in headers)
    return len(key or b"") + len(value or b"") + texts
