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

from consumers.dead_letters.letters import DeadLetter, Selection, Shelf, dead_letter
from consumers.ports import InboundWriter, KafkaUnavailable, LetterSource, RecordRefused, ReplayMark, ReplayMemory
from consumers.ports import Sleep, Stopwatch
from consumers.dead_letters.headers import SUFFIX
from consumers.dead_letters.put_back import LONGEST_NOTE

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
class Rules:
    """What is put back. A guard against loops: what was dead-lettered ``max_attempts`` times is passed over."""

    selection: Selection = Selection()
    max_attempts: int = 5

    def objection(self, letter: DeadLetter) -> str | None:
        """Return why ``letter`` is passed over, if it is."""
        topic = inbound_topic(letter)
        if letter.provenance.topic != topic:
            return f"its dlt-topic is not {topic}"
        if letter.provenance.attempts >= self.max_attempts:
            return f"dead-lettered {letter.provenance.attempts} times"
        return None


@dataclass
class Tally:
    """What became of the letters: how many were put back, and how many passed over for which reason."""

    put_back: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)


class ReplayWatch(Protocol):
    """Who looks on."""

    def passed_over(self, letter: DeadLetter, why: str) -> None:
        """Hear that a letter stays."""
        ...

    def moved(self, offsets: int) -> None:
        """Hear that so many offsets more are behind us."""
        ...


class Pace:
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


def inbound_topic(letter: DeadLetter) -> str:
    """Return the one topic that a letter may go back to, whatever its headers say: that of its dead-letter topic."""
    return letter.record.topic.removesuffix(SUFFIX)


async def pending(source: LetterSource, shelf: Shelf, selection: Selection) -> AsyncIterator[DeadLetter]:
    """Yield the selected letters that were not put back yet. Offsets that hold no record become done on the way."""
    following = shelf.put_back.watermark
    async for record in source.read(shelf.partition, following, shelf.end):
        shelf.put_back.add(following, record.offset)
        following = record.offset + 1
        letter = dead_letter(record)
        if record.offset not in shelf.put_back and selection.takes(letter):
            yield letter
    shelf.put_back.add(following, shelf.end)


class Replay:
    """Puts back what the rules let through, shelf by shelf, in batches. Within a sign-in the order is kept.

    ``tally`` says what became of the letters up to now.
    """

    def __init__(
        self,
        source: LetterSource,
        memory: ReplayMemory,
        inbound: InboundWriter,
        rules: Rules,
        watch: ReplayWatch,
        pace: Pace,
        stopwatch: Stopwatch = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        longest_note: int = LONGEST_NOTE,
    ) -> None:
        self._source = source
        self._memory = memory
        self._inbound = inbound
        self._rules = rules
        self._watch = watch
        self._pace = pace
        self._stopwatch = stopwatch
        self._sleep = sleep
        self._longest_note = longest_note
        self.tally = Tally()

    async def run(self, shelves: Sequence[Shelf]) -> Tally:
        """Return what became of the letters. Raises ``KafkaUnavailable`` and ``ReplayStopped``."""
        for shelf in shelves:
            await self._empty(shelf)
        return self.tally

    async def _empty(self, shelf: Shelf) -> None:
        batch, size, began = list[DeadLetter](), 0, self._stopwatch()
        reached = shelf.first
        async for letter in pending(self._source, shelf, self._rules.selection):
            self._watch.moved(letter.record.offset - reached)
            reached = letter.record.offset
            if why := self._rules.objection(letter):
                self._pass_over(letter, why)
                continue
            await self._pace()
            batch.append(letter)
            size += letter.record.size
            if len(batch) >= _BATCH_RECORDS or size >= _BATCH_BYTES or self._stopwatch() - began >= _BATCH_S:
                await self._put_back(shelf, batch)
                batch, size, began = [], 0, self._stopwatch()
        await self._put_back(shelf, batch)
        self._watch.moved(shelf.end - reached)

    async def _put_back(self, shelf: Shelf, batch: Sequence[DeadLetter]) -> None:
        lanes: dict[str | bytes | int, list[DeadLetter]] = defaultdict(list)
        for letter in batch:
            lanes[letter.signin_id or letter.record.key or letter.record.offset].append(letter)
        ends = await asyncio.gather(*(self._in_order(shelf, lane) for lane in lanes.values()), return_exceptions=True)
        await self._note(shelf)
        for end in ends:
            if end is not None:
                raise end

    async def _in_order(self, shelf: Shelf, lane: Sequence[DeadLetter]) -> None:
        for letter in lane:
            try:
                await self._surely(letter)
            except RecordRefused:
                self._pass_over(letter, "larger than its topic allows")
            else:
                shelf.put_back.add(letter.record.offset)
                self.tally.put_back += 1

    async def _surely(self, letter: DeadLetter) -> None:
        """Try a few times: one refused record makes its producer fail for all that are under way."""
        topic, partition = inbound_topic(letter), letter.provenance.partition
        for wait_s in _WAITS_S:
            try:
                return await self._inbound.put_back(topic, partition, letter.record)
            except RecordRefused:
                raise
            except KafkaUnavailable:
                await self._sleep(wait_s)
        await self._inbound.put_back(topic, partition, letter.record)

    async def _note(self, shelf: Shelf) -> None:
        mark = shelf.put_back.mark()
        if mark == (shelf.noted or ReplayMark(shelf.first, "")):
            return
        if await self._memory.recall(shelf.partition) != shelf.noted:
            raise AnotherReplay
        if len(mark.note) > self._longest_note:
            raise TooScattered
        await self._memory.note(shelf.partition, mark)
        shelf.noted = mark

    def _pass_over(self, letter: DeadLetter, why: str) -> None:
        self.tally.passed_over[why] += 1
        self._watch.passed_over(letter, why)
