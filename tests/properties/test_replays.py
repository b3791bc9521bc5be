"""Any history of dead letters, filtered replays, lost notes, outages and retention."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consumers.dead_letters.letters import DeadLetter, Selection, partition_ranges
from consumers.dead_letters.replay import RateLimiter, Replay, ReplayFilter
from consumers.ports import KafkaUnavailable, Partition
from schemas.dead_letters import DeadLetterError
from schemas.topics import dead_letter_topic
from tests.fakes.dead_letters import letter_record
from tests.fakes.inbound import SUBMITTED
from tests.fakes.letter_topics import FakeInbound, FakeLetterTopics
from tests.fakes.naps import FakeNaps

TOPIC = dead_letter_topic(SUBMITTED)
ERRORS: tuple[DeadLetterError, ...] = ("schema", "not_json", "refused")
PARTITIONS = st.integers(0, 1)


class Silent:
    """Fulfils ``ReplayListener``."""

    def passed_over(self, letter: DeadLetter, why: str) -> None:
        """Say nothing."""

    def advanced(self, offsets: int) -> None:
        """Say nothing."""


class Replays(RuleBasedStateMachine):
    """Each letter is known by its value. ``unnoted`` counts for each how often a trouble may have repeated it."""

    def __init__(self) -> None:
        super().__init__()
        self.topics = FakeLetterTopics(TOPIC, partitions=2)
        self.inbound = FakeInbound()
        self.errors: dict[bytes, DeadLetterError] = {}
        self.poison: set[bytes] = set()
        self.unnoted: Counter[bytes | None] = Counter()

    @rule(error=st.sampled_from(ERRORS), gap=st.integers(0, 2), partition=PARTITIONS, poison=st.booleans())
    def fail(self, error: DeadLetterError, gap: int, partition: int, poison: bool) -> None:
        """Write a dead letter; poison has come too often."""
        value = b"%d" % len(self.errors)
        record = letter_record(len(self.errors), value=value, error=error, times=5 if poison else 1)
        self.topics.append(replace(record, partition=partition), gap)
        self.errors[value] = error
        self.poison |= {value} if poison else set()

    @rule(error=st.sampled_from([None, *ERRORS]))
    def put_back(self, error: DeadLetterError | None) -> None:
        """Put back those of an error, or all. Afterwards none of them is left, but for poison."""
        asyncio.run(self._replay(error))
        kept = {record.value for log in self.topics.logs.values() for record in log}
        meant = {value for value, its in self.errors.items() if error in (None, its) and value in kept}
        assert meant - self.poison <= set(self.inbound.values)

    @rule(error=st.sampled_from([None, *ERRORS]), failures=st.integers(1, 8), lost_notes=st.integers(0, 1))
    def put_back_in_trouble(self, error: DeadLetterError | None, failures: int, lost_notes: int) -> None:
        """Do the same while Kafka takes some records only, or loses a note."""
        before = Counter(self.inbound.values)
        self.inbound.failures, self.topics.lost_notes = failures, lost_notes
        with contextlib.suppress(KafkaUnavailable):
            asyncio.run(self._replay(error))
        if lost_notes and not self.topics.lost_notes:
            self.unnoted += Counter(self.inbound.values) - before
        self.inbound.failures = self.topics.lost_notes = 0

    @rule(partition=PARTITIONS, count=st.integers(1, 3))
    def forget(self, partition: int, count: int) -> None:
        """Let retention remove some from the beginning."""
        place = Partition(TOPIC, partition)
        first, end = self.topics.firsts.get(place, 0), self.topics.ends.get(place, 0)
        self.topics.retain(place, min(first + count, end))

    @invariant()
    def nothing_is_put_back_twice_without_need(self) -> None:
        """Each letter once, and once more for each time that a note of it was lost."""
        for value, count in Counter(self.inbound.values).items():
            assert count <= 1 + self.unnoted[value]

    @invariant()
    def poison_stays(self) -> None:
        """However often it is asked for."""
        assert not self.poison & set(self.inbound.values)

    async def _replay(self, error: DeadLetterError | None) -> None:
        found = await partition_ranges(self.topics, self.topics, [TOPIC])
        rules, pace, naps = ReplayFilter(Selection(error=error)), RateLimiter(1e9), FakeNaps(instant=True)
        await Replay(self.topics, self.topics, self.inbound, rules, Silent(), pace, sleep=naps.sleep).run(found)


TestReplays = Replays.TestCase
TestReplays.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
