"""What must hold: no loss, no commit beyond what is handled, order by key, dead letters byte for byte."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from consumers.metrics import PartitionPosition
from schemas.dead_letters import DltHeader
from schemas.topics import is_dead_letter_topic
from tests.simulation.consumer.batches import Batch, Content
from tests.simulation.consumer.events import SECRETS, Event, Origin
from tests.simulation.consumer.letter_rules import Letter, Written, fits, wrong_headers
from tests.simulation.consumer.partition_log import PartitionLog
from tests.simulation.story import Story
from tests.simulation.consumer.temporal_model import Effect, TemporalModel

Place = tuple[str, int]
"""A topic and the number of a partition."""


class Oracle:
    """Judges what reaches the brokers and the model of Temporal, and nothing else but what became of late records.

    ``violations``: what must not have happened, in the order in which it was noticed.
    """

    def __init__(self, temporal: TemporalModel, story: Story) -> None:
        self.violations: list[str] = []
        self.max_letter_bytes: int | None = None
        self.offsets_may_fall = True  # a commit that was given up may still be on its way
        self._temporal = temporal
        self._story = story
        self._logs: dict[Place, PartitionLog] = {}
        self._written: dict[Place, list[Written]] = {}
        self._places: defaultdict[Effect, set[Place]] = defaultdict(set)
        self._checked: dict[Place, int] = {}
        self._letters: dict[tuple[str, int, int], list[Letter]] = {}
        self._put_back: defaultdict[Origin, list[Written]] = defaultdict(list)
        self._late: set[tuple[str, int, int]] = set()
        self._deleted: dict[Place, list[Written]] = {}
        self._lost: set[Effect] = set()
        self._replaced: set[Place] = set()
        self._unjudged: set[Place] = set()
        self._closed: set[Place] = set()
        self._done_and_left: set[tuple[Place, int]] = set()

    def watch(self, log: PartitionLog) -> None:
        """Judge an inbound partition."""
        place = (log.topic, log.number)
        self._logs[place] = log
        self._written[place] = []
        self._checked[place] = 0

    def wrote(self, log: PartitionLog, batch: Batch, events: Sequence[Event]) -> None:
        """Note a batch that an emitter wrote."""
        written = self._written[log.topic, log.number]
        if batch.unreadable:
            written.append(Written(batch.base, batch.last, batch))
        for offset, event in zip(batch.offsets, events, strict=False):
            written.append(Written(offset, offset, batch, event))
            if event.origin is not None:
                self._put_back[event.origin].append(written[-1])
            self._places[event.effect].add((log.topic, log.number))

    def takes_records(self, log: PartitionLog) -> bool:
        """Whether emitters may write: after a log went backwards, the worker gets a while to notice (ADR 22)."""
        return (log.topic, log.number) not in self._closed

    def log_goes_backwards(self, log: PartitionLog) -> None:
        """Expect nothing any more of what is lost. Whatever is committed of this partition is not judged."""
        place = (log.topic, log.number)
        self._replaced.add(place)
        self._unjudged.add(place)
        self._closed.add(place)
        self._written[place] = [each for each in self._written[place] if each.batch in log.batches]

    def log_was_shortened(self, log: PartitionLog) -> None:
        """Expect nothing any more of what retention has deleted."""
        place = (log.topic, log.number)
        deleted = [each for each in self._written[place] if each.last < log.start]
        undone = [each for each in deleted if not self._is_done(place, each)]
        self._deleted.setdefault(place, []).extend(deleted)
        self._lost.update(each.event.effect for each in undone if each.event is not None)
        self._written[place] = [each for each in self._written[place] if each.last >= log.start]

    def log_goes_on(self, log: PartitionLog) -> None:
        """Let emitters write again."""
        self._closed.discard((log.topic, log.number))

    def new_log_is_known(self, log: PartitionLog) -> None:
        """Judge what is committed of this partition from now on: the worker has had the time to notice."""
        self._checked[log.topic, log.number] = 0
        self._unjudged.discard((log.topic, log.number))

    def saw_new_log(self, topic: str) -> None:
        """Judge an alarm: it says that a log of this topic went backwards."""
        if not any(place[0] == topic for place in self._replaced):
            self.accuse(f"{topic}: a false alarm says that a log went backwards")

    def on_commit(self, topic: str, number: int, offset: int) -> None:
        """Judge an offset that was committed: everything below it must be done."""
        self._story.add("offset committed", f"{topic}/{number} {offset}")
        place = (topic, number)
        log = self._logs[place]
        if place in self._unjudged:
            return

        if offset < self._checked[place] and not self.offsets_may_fall:
            self.accuse(f"{topic}/{number}: {offset} was committed after {self._checked[place]}")
        if offset > log.stable_end:
            self.accuse(f"{topic}/{number}: {offset} was committed, but the log can be read up to {log.stable_end}")
        for written in self._unhandled(place, self._checked[place], offset):
            self.accuse(f"{topic}/{number}: {offset} was committed, but {written.offset} is not done")
        self._checked[place] = max(self._checked[place], offset)

    def on_write(self, topic: str, _number: int, content: Content) -> None:
        """Keep a dead letter."""
        if not is_dead_letter_topic(topic):
            return

        letter = Letter(content.key, content.value, content.headers)
        own, place = letter.own, letter.origin
        if any(secret in own.get(DltHeader.REASON, b"") for secret in SECRETS):
            self.accuse(f"{place[0]}/{place[1]}: the reason of the dead letter of {place[2]} quotes the value")
        self._story.add("dead letter", f"{place[0]}/{place[1]} {place[2]} {own[DltHeader.ERROR].decode()}")
        self._letters.setdefault(place, []).append(letter)

    @property
    def letters(self) -> int:
        """How many records became dead letters."""
        return len(self._letters)

    def saw_late(self, topic: str, number: int, offset: int) -> None:
        """Note a record that the consumer found too old: it leaves no other trace."""
        self._late.add((topic, number, offset))

    def is_settled(self, committed: dict[Place, int]) -> bool:
        """Whether everything that can be read is done and committed."""
        return not any(self._open_ends(committed)) and not any(
            True for place in self._logs for _ in self._unhandled(place, 0, self._logs[place].end)
        )

    def judge_end(self, committed: dict[Place, int]) -> None:
        """Judge what was left when the workers had all the time they need."""
        for place, log in self._logs.items():
            for written in self._unhandled(place, 0, log.end):
                self.accuse(f"{place[0]}/{place[1]}: {written.offset} was never done")
        for place, text in self._open_ends(committed):
            if place not in self._replaced:  # it may be read once more from its beginning at any time
                self.accuse(text)

        for place in self._logs:
            if place not in self._replaced:
                self._judge_order(place)
        self._judge_letters()
        self._judge_late()

    def judge_hand_over(self, committed: Mapping[Place, int]) -> None:
        """Judge that what was done from the first record on is committed, at a time when no worker has a partition.

        What was written twice may have been done elsewhere, and what was done behind an undone record has to be done
        again by whoever reads the partition next.
        """
        times = Counter(_trace(each) for all_ in self._written.values() for each in all_)
        left: set[tuple[Place, int]] = set()

        for place, log in self._logs.items():
            readable = [each for each in self._written[place] if log.is_readable(each.batch)]
            for written in readable:
                is_repeated = _trace(written) and times[_trace(written)] > 1
                was_left = (place, written.offset) in self._done_and_left
                if is_repeated or was_left or not self._is_done(place, written):
                    break
                if written.offset >= committed.get(place, 0):
                    topic, number = place
                    self.accuse(f"{topic}/{number}: {written.offset} was done, and not committed before it was left")

            uncommitted = [each for each in readable if each.offset >= committed.get(place, 0)]
            left |= {(place, each.offset) for each in uncommitted if self._is_done(place, each)}

        self._done_and_left = left

    def done_but_for(self, lane: str) -> Callable[[], bool]:
        """Return a condition: whether all is done but for what belongs to one lane."""

        def is_done() -> bool:
            left = (each for place, log in self._logs.items() for each in self._unhandled(place, 0, log.end))
            return all(each.event is not None and each.event.lane == lane for each in left)

        return is_done

    def judge_lag(self, position: PartitionPosition) -> None:
        """Judge what a worker reports of a partition at a time when nothing moves."""
        place = (position.partition.topic, position.partition.number)
        log = self._logs[place]
        first = min((each.offset for each in self._unhandled(place, 0, log.end)), default=log.stable_end)
        name = f"{place[0]}/{place[1]}"

        if position.lag != log.end - min(first, log.stable_end):
            self.accuse(f"{name}: a lag of {position.lag} is reported, and the first of {log.end} not done is {first}")
        if position.lag and not position.oldest_unfinished_age_s:
            self.accuse(f"{name}: there is lag, and no age is reported")

    def _open_ends(self, committed: dict[Place, int]) -> Iterator[tuple[Place, str]]:
        for (topic, number), log in self._logs.items():
            offset = committed.get((topic, number), 0)
            if offset != log.stable_end:
                yield (topic, number), f"{topic}/{number}: {offset} is committed, and the log ends at {log.stable_end}"

    def _unhandled(self, place: Place, start: int, end: int) -> Iterator[Written]:
        log = self._logs[place]
        for written in self._written[place]:
            is_asked_for = start <= written.last and written.offset < end
            if is_asked_for and log.is_readable(written.batch) and not self._is_done(place, written):
                yield written

    def _is_done(self, place: Place, written: Written) -> bool:
        event = written.event
        if event is not None and event.fate == "effect":
            return event.effect in self._temporal.effects
        if event is not None and event.fate == "late":
            return (*place, written.offset) in self._late

        origin = event.origin if event is not None else None
        letters = self._letters.get(origin or (*place, written.offset), ())
        return any(fits(letter, written, self.max_letter_bytes) for letter in letters)

    def _judge_order(self, place: Place) -> None:
        """Judge that the first time of each effect follows the order of the log, by lane.

        What was written again, to another partition because one was added, may have come from there. What was deleted
        before it was done may have come again later.
        """
        last: dict[str, tuple[float, int]] = {}
        known = set()
        log = self._logs[place]
        for written in [*self._deleted.get(place, ()), *self._written[place]]:
            event = written.event
            if event is None or event.fate != "effect" or event.effect in known or not log.is_readable(written.batch):
                continue
            if self._places[event.effect] != {place} or event.effect in self._lost:
                continue

            known.add(event.effect)
            at = self._temporal.effects.get(event.effect)
            before = last.get(event.lane, (0.0, -1))
            if at is not None and at < before[0]:
                self.accuse(f"{place[0]}/{place[1]}: {written.offset} took effect before {before[1]}")
            if at is not None:
                last[event.lane] = (at, written.offset)

    def _judge_letters(self) -> None:
        """Judge that only what must become a dead letter did, with its bytes as they were."""
        for (topic, number, offset), letters in self._letters.items():
            if (topic, number) in self._replaced:
                continue
            known = [*self._written.get((topic, number), ()), *self._deleted.get((topic, number), ())]
            written = [each for each in known if each.offset == offset]
            written += self._put_back.get((topic, number, offset), ())
            for letter in letters:
                fitting = [each for each in written if fits(letter, each, self.max_letter_bytes)]
                if not fitting:
                    self.accuse(f"{topic}/{number}: the dead letter of {offset} is not what was written there")
                elif wrong := min((list(wrong_headers(letter, each)) for each in fitting), key=len):
                    self.accuse(f"{topic}/{number}: the dead letter of {offset} has a wrong {', '.join(wrong)}")

    def _judge_late(self) -> None:
        """Judge that nothing took effect that came too late."""
        for (topic, number), all_written in self._written.items():
            for written in all_written:
                event = written.event
                if event is not None and event.fate == "late" and event.effect in self._temporal.effects:
                    self.accuse(f"{topic}/{number}: {written.offset} took effect, though it came too late")

    def accuse(self, text: str) -> None:
        """Note a violation."""
        self.violations.append(text)
        self._story.add("VIOLATION", text)


def _trace(written: Written) -> Effect | Origin | None:
    """Return what a record leaves, wherever it was written: its effect, or where its dead letter came from first."""
    return None if written.event is None else written.event.effect or written.event.origin
