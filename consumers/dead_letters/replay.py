"""Puts dead letters back on the topics they came from.

A letter counts as put back once Kafka acknowledged both the record and the note of it. A crash in between puts it back
once more the next time: its ids are the same, so it is applied once. What was not selected, or was passed over, stays.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from consumers.dead_letters.letters import DeadLetter, PartitionRange, Selection, dead_letter
from consumers.dead_letters.replayed_offsets import MAX_METADATA_LENGTH
from consumers.ports import (
    DeadLetterReader,
    InboundWriter,
    KafkaUnavailable,
    RecordRefused,
    ReplayMark,
    ReplayStore,
    Sleep,
    Stopwatch,
)

_BATCH_RECORDS: Final = 500
_BATCH_BYTES: Final = 4 * 1024 * 1024
_BATCH_S: Final = 1.0
_WAITS_S: Final = (0.2, 1.0)
_SHORTEST_NAP_S: Final = 0.05


class ReplayStopped(Exception):
    """Base: this replay ends early; what it did before is noted.

    ::

        ReplayStopped
        ├── AnotherReplay      somebody else puts back the same letters just now
        └── TooScattered       more holes than Kafka remembers for us
    """


class AnotherReplay(ReplayStopped):
    """Raised when another replay noted something since this one looked. The other one goes on."""


class TooScattered(ReplayStopped):
    """Raised when what was put back lies too scattered among the rest to be noted."""


@dataclass(frozen=True)
class ReplayFilter:
    """What is put back. A guard against loops: what was dead-lettered ``max_attempts`` times is passed over."""

    selection: Selection = Selection()
    max_attempts: int = 5

    def reason_to_pass_over(self, letter: DeadLetter) -> str | None:
        """Return why ``letter`` is passed over, if it is."""
        topic = letter.inbound_topic
        if letter.provenance.topic != topic:
            return f"its dlt-topic is not {topic}"
        if letter.provenance.attempts >= self.max_attempts:
            return f"dead-lettered {letter.provenance.attempts} times"
        return None


@dataclass
class ReplayReport:
    """What became of the letters: how many were put back, and how many passed over for which reason."""

    put_back: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)


class ReplayListener(Protocol):
    """Who looks on."""

    def passed_over(self, letter: DeadLetter, why: str) -> None:
        """Hear that a letter stays."""
        ...

    def advanced(self, offsets: int) -> None:
        """Hear that so many offsets more are behind us."""
        ...


class RateLimiter:
    """Lets at most so many a second pass, a few of them at once; after a pause there is no catching up."""

    def __init__(self, per_second: float, stopwatch: Stopwatch = time.monotonic, sleep: Sleep = asyncio.sleep) -> None:
        self._interval_s = 1 / per_second
        self._stopwatch = stopwatch
        self._sleep = sleep
        self._next = stopwatch()

    async def __call__(self) -> None:
        """Return when the next one may go."""
        now = self._stopwatch()
        if self._next - now > _SHORTEST_NAP_S:
            await self._sleep(self._next - now)
        self._next = max(self._next, now) + self._interval_s


async def pending_letters(
    source: DeadLetterReader, shelf: PartitionRange, selection: Selection
) -> AsyncIterator[DeadLetter]:
    """Yield the selected letters that were not put back yet. Offsets that hold no record become done on the way."""
    following = shelf.replayed.watermark
    async for record in source.read(shelf.partition, following, shelf.end):
        shelf.replayed.add(following, record.offset)
        following = record.offset + 1
        letter = dead_letter(record)
        if record.offset not in shelf.replayed and selection.takes(letter):
            yield letter
    shelf.replayed.add(following, shelf.end)


class Replay:
    """Puts back what the rules let through, shelf by shelf, in batches. Within a sign-in the order is kept.

    ``tally`` says what became of the letters up to now.
    """

    def __init__(
        self,
        source: DeadLetterReader,
        memory: ReplayStore,
        inbound: InboundWriter,
        rules: ReplayFilter,
        watch: ReplayListener,
        pace: RateLimiter,
        stopwatch: Stopwatch = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        max_metadata_length: int = MAX_METADATA_LENGTH,
    ) -> None:
        self._source = source
        self._memory = memory
        self._inbound = inbound
        self._rules = rules
        self._watch = watch
        self._pace = pace
        self._stopwatch = stopwatch
        self._sleep = sleep
        self._max_metadata_length = max_metadata_length
        self.tally = ReplayReport()

    async def run(self, partition_ranges: Sequence[PartitionRange]) -> ReplayReport:
        """Return what became of the letters. Raises ``KafkaUnavailable`` and ``ReplayStopped``."""
        for shelf in partition_ranges:
            await self._empty(shelf)
        return self.tally

    async def _empty(self, shelf: PartitionRange) -> None:
        batch, size, began = list[DeadLetter](), 0, self._stopwatch()
        reached = shelf.first
        async for letter in pending_letters(self._source, shelf, self._rules.selection):
            self._watch.advanced(letter.record.offset - reached)
            reached = letter.record.offset
            if why := self._rules.reason_to_pass_over(letter):
                self._pass_over(letter, why)
                continue
            await self._pace()
            batch.append(letter)
            size += letter.record.size
            if len(batch) >= _BATCH_RECORDS or size >= _BATCH_BYTES or self._stopwatch() - began >= _BATCH_S:
                await self._put_back(shelf, batch)
                batch, size, began = [], 0, self._stopwatch()
        await self._put_back(shelf, batch)
        self._watch.advanced(shelf.end - reached)

    async def _put_back(self, shelf: PartitionRange, batch: Sequence[DeadLetter]) -> None:
        lanes: dict[str | bytes | int, list[DeadLetter]] = defaultdict(list)
        for letter in batch:
            lanes[letter.signin_id or letter.record.key or letter.record.offset].append(letter)
        ends = await asyncio.gather(*(self._in_order(shelf, lane) for lane in lanes.values()), return_exceptions=True)
        await self._note(shelf)
        for end in ends:
            if end is not None:
                raise end

    async def _in_order(self, shelf: PartitionRange, lane: Sequence[DeadLetter]) -> None:
        for letter in lane:
            try:
                await self._surely(letter)
            except RecordRefused:
                self._pass_over(letter, "larger than its topic allows")
            else:
                shelf.replayed.add(letter.record.offset)
                self.tally.put_back += 1

    async def _surely(self, letter: DeadLetter) -> None:
        """Try a few times: one refused record makes its producer fail for all that are under way."""
        topic, partition = letter.inbound_topic, letter.provenance.partition
        for wait_s in _WAITS_S:
            try:
                return await self._inbound.put_back(topic, partition, letter.record)
            except RecordRefused:
                raise
            except KafkaUnavailable:
                await self._sleep(wait_s)
        await self._inbound.put_back(topic, partition, letter.record)

    async def _note(self, shelf: PartitionRange) -> None:
        mark = shelf.replayed.mark()
        if mark == (shelf.saved or ReplayMark(shelf.first, "")):
            return
        if await self._memory.load(shelf.partition) != shelf.saved:
            raise AnotherReplay
        if len(mark.metadata) > self._max_metadata_length:
            raise TooScattered
        await self._memory.save(shelf.partition, mark)
        shelf.saved = mark

    def _pass_over(self, letter: DeadLetter, why: str) -> None:
        self.tally.passed_over[why] += 1
        self._watch.passed_over(letter, why)
