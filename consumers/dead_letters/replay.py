"""Put dead letters back on the topics they came from.

A letter counts as put back once Kafka has acknowledged the record and the mark that
says so. After a crash in between, the next replay puts it back again; its ids are the
same, so it is applied once. A letter that was not selected, or was passed over, stays
to be put back later.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from consumers.dead_letters.letters import (
    DeadLetter,
    PartitionRange,
    Selection,
    dead_letter,
)
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
from schemas.dead_letters import DltHeader

_BATCH_RECORDS: Final = 500
_BATCH_BYTES: Final = 4 * 1024 * 1024
_BATCH_S: Final = 1.0
_WAITS_S: Final = (0.2, 1.0)
_MIN_NAP_S: Final = 0.05


class AnotherReplay(Exception):
    """Raised when another replay has saved a mark since this one looked.

    The other one continues, and the marks say what this one did before.
    """


class TooScattered(Exception):
    """Raised when the letters that were put back lie too scattered for one mark.

    The mark would be longer than what Kafka stores beside an offset. The one saved last
    stays valid.
    """


@dataclass(frozen=True)
class ReplayFilter:
    """Which letters are put back.

    To end loops, a letter dead-lettered ``max_attempts`` times is passed over.
    """

    selection: Selection = Selection()
    max_attempts: int = 5

    def reason_to_pass_over(self, letter: DeadLetter) -> str | None:
        """Return why a selected letter is passed over, or None if it is put back."""
        topic = letter.inbound_topic
        if letter.provenance.topic != topic:
            return f"its {DltHeader.TOPIC} is not {topic}"
        if letter.provenance.attempts >= self.max_attempts:
            return f"dead-lettered {letter.provenance.attempts} times"
        if not letter.provenance.has_value:
            return "its value is not here: read it at its origin"
        return None


@dataclass
class ReplayReport:
    """How many letters were put back, and how many were passed over for each reason."""

    put_back: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)


class ReplayListener(Protocol):
    """Follows a replay."""

    def passed_over(self, letter: DeadLetter, reason: str) -> None:
        """Note that a letter stays."""
        ...

    def advanced(self, offsets: int) -> None:
        """Note that the replay has passed so many more offsets."""
        ...


class RateLimiter:
    """Lets at most ``per_second`` through, a few of them at once.

    After a pause it does not catch up.
    """

    def __init__(
        self,
        per_second: float,
        stopwatch: Stopwatch = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._interval_s = 1 / per_second
        self._stopwatch = stopwatch
        self._sleep = sleep
        self._next = stopwatch()

    async def wait(self) -> None:
        """Return when the next one may pass."""
        now = self._stopwatch()
        if self._next - now > _MIN_NAP_S:
            await self._sleep(self._next - now)
        self._next = max(self._next, now) + self._interval_s


@dataclass
class _Batch:
    """Letters that are put back together, and then marked together.

    It is full after a second at the latest.
    """

    started_at: float
    letters: list[DeadLetter] = field(default_factory=list)
    size: int = 0

    def add(self, letter: DeadLetter) -> None:
        """Take a letter."""
        self.letters.append(letter)
        self.size += letter.record.size

    def is_full(self, now: float) -> bool:
        """Tell whether it is time to put the letters back."""
        is_large = len(self.letters) >= _BATCH_RECORDS or self.size >= _BATCH_BYTES
        return is_large or now - self.started_at >= _BATCH_S

    def lanes(self) -> list[list[DeadLetter]]:
        """Return the letters by sign-in, or else by key. Each lane is in order."""
        lanes: dict[str | bytes | int, list[DeadLetter]] = defaultdict(list)
        for letter in self.letters:
            lane = letter.signin_id or letter.record.key or letter.record.offset
            lanes[lane].append(letter)

        return list(lanes.values())


async def pending_letters(
    reader: DeadLetterReader, part: PartitionRange, selection: Selection
) -> AsyncIterator[DeadLetter]:
    """Yield the selected letters that were not put back yet, and mark offsets without a record as done."""
    following = part.replayed.watermark

    async for record in reader.read(part.partition, following, part.end):
        part.replayed.add(following, record.offset)
        following = record.offset + 1

        letter = dead_letter(record)
        if record.offset not in part.replayed and selection.matches(letter):
            yield letter

    part.replayed.add(following, part.end)


class Replay:
    """Puts letters back in batches, one partition after the other.

    The order within a sign-in is kept.

    ``report`` says what has become of the letters so far.
    """

    def __init__(
        self,
        reader: DeadLetterReader,
        store: ReplayStore,
        inbound: InboundWriter,
        replay_filter: ReplayFilter,
        listener: ReplayListener,
        rate: RateLimiter,
        stopwatch: Stopwatch = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        max_metadata_length: int = MAX_METADATA_LENGTH,
    ) -> None:
        self._reader = reader
        self._store = store
        self._inbound = inbound
        self._filter = replay_filter
        self._listener = listener
        self._rate = rate
        self._stopwatch = stopwatch
        self._sleep = sleep
        self._max_metadata_length = max_metadata_length

        self.report = ReplayReport()

    async def run(self, ranges: Sequence[PartitionRange]) -> ReplayReport:
        """Return what became of the letters.

        Raises ``KafkaUnavailable``, ``AnotherReplay`` and ``TooScattered``.
        """
        for part in ranges:
            await self._replay(part)
        return self.report

    async def _replay(self, part: PartitionRange) -> None:
        batch = _Batch(self._stopwatch())
        reached = part.first

        async for letter in pending_letters(self._reader, part, self._filter.selection):
            self._listener.advanced(letter.record.offset - reached)
            reached = letter.record.offset

            if reason := self._filter.reason_to_pass_over(letter):
                self._pass_over(letter, reason)
                continue

            await self._rate.wait()
            batch.add(letter)
            if batch.is_full(self._stopwatch()):
                await self._put_back(part, batch)
                batch = _Batch(self._stopwatch())

        await self._put_back(part, batch)
        self._listener.advanced(part.end - reached)

    async def _put_back(self, part: PartitionRange, batch: _Batch) -> None:
        """Put back what Kafka takes and save the mark; only then raise what went wrong."""
        lanes = (self._put_back_in_order(part, lane) for lane in batch.lanes())
        errors = await asyncio.gather(*lanes, return_exceptions=True)

        await self._save(part)

        for error in errors:
            if error is not None:
                raise error

    async def _put_back_in_order(self, part: PartitionRange, lane: Sequence[DeadLetter]) -> None:
        for letter in lane:
            try:
                await self._write(letter)
            except RecordRefused:
                self._pass_over(letter, "larger than its topic allows")
            else:
                part.replayed.add(letter.record.offset)
                self.report.put_back += 1

    async def _write(self, letter: DeadLetter) -> None:
        """Try three times: a record that the brokers refuse makes its producer fail for all others under way."""
        for wait_s in (*_WAITS_S, None):
            try:
                return await self._inbound.put_back(letter.inbound_topic, letter.provenance.partition, letter.record)
            except RecordRefused:
                raise
            except KafkaUnavailable:
                if wait_s is None:
                    raise
                await self._sleep(wait_s)

    async def _save(self, part: PartitionRange) -> None:
        """Save the mark if it changed, unless another replay saved one in the meantime."""
        mark = part.replayed.mark()
        if mark == (part.saved or ReplayMark(part.first, "")):
            return

        if await self._store.load(part.partition) != part.saved:
            raise AnotherReplay
        if len(mark.metadata) > self._max_metadata_length:
            raise TooScattered

        await self._store.save(part.partition, mark)
        part.saved = mark

    def _pass_over(self, letter: DeadLetter, reason: str) -> None:
        self.report.passed_over[reason] += 1
        self._listener.passed_over(letter, reason)
