"""Replays in any history of dead letters, filters, lost marks, outages and retention."""

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
from tests.fakes.dead_letter_topics import FakeDeadLetterTopics, FakeInboundWriter
from tests.fakes.dead_letters import letter_record
from tests.fakes.inbound import SUBMITTED
from tests.fakes.naps import FakeNaps

TOPIC = dead_letter_topic(SUBMITTED)
ERRORS: tuple[DeadLetterError, ...] = ("schema", "not_json", "refused")
PARTITIONS = st.integers(0, 1)


class Silent:
    """Fulfils ``ReplayListener``."""

    def passed_over(self, letter: DeadLetter, reason: str) -> None:
        """Ignore it."""

    def advanced(self, offsets: int) -> None:
        """Ignore it."""


class Replays(RuleBasedStateMachine):
    """Letters are known by their values.

    ``repeatable`` counts how often a lost mark may have repeated each of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.topics = FakeDeadLetterTopics(TOPIC, partitions=2)
        self.inbound = FakeInboundWriter()
        self.errors: dict[bytes, DeadLetterError] = {}
        self.poison: set[bytes] = set()
        self.repeatable: Counter[bytes | None] = Counter()

    @rule(
        error=st.sampled_from(ERRORS),
        gap=st.integers(0, 2),
        partition=PARTITIONS,
        poison=st.booleans(),
    )
    def fail(self, error: DeadLetterError, gap: int, partition: int, poison: bool) -> None:
        """Write a dead letter. A poisonous one has been dead-lettered too often."""
        value = b"%d" % len(self.errors)
        record = letter_record(len(self.errors), value=value, error=error, times=5 if poison else 1)
        self.topics.append(replace(record, partition=partition), gap)
        self.errors[value] = error
        self.poison |= {value} if poison else set()

    @rule(error=st.sampled_from([None, *ERRORS]))
    def put_back(self, error: DeadLetterError | None) -> None:
        """Put back the letters with an error, or all.

        None of them is left then, except the poisonous ones.
        """
        asyncio.run(self._replay(error))
        kept = {record.value for log in self.topics.logs.values() for record in log}
        meant = {value for value, its in self.errors.items() if error in (None, its) and value in kept}
        assert meant - self.poison <= set(self.inbound.values)

    @rule(
        error=st.sampled_from([None, *ERRORS]),
        failures=st.integers(1, 8),
        lost_saves=st.integers(0, 1),
    )
    def put_back_in_trouble(self, error: DeadLetterError | None, failures: int, lost_saves: int) -> None:
        """Do the same while Kafka takes only some records, or loses a mark."""
        before = Counter(self.inbound.values)
        self.inbound.failures = failures
        self.topics.lost_saves = lost_saves

        with contextlib.suppress(KafkaUnavailable):
            asyncio.run(self._replay(error))
        if lost_saves and not self.topics.lost_saves:
            self.repeatable += Counter(self.inbound.values) - before
        self.inbound.failures = 0
        self.topics.lost_saves = 0

    @rule(partition=PARTITIONS, count=st.integers(1, 3))
    def forget(self, partition: int, count: int) -> None:
        """Let retention remove letters from the beginning."""
        place = Partition(TOPIC, partition)
        first = self.topics.firsts.get(place, 0)
        end = self.topics.ends.get(place, 0)
        self.topics.retain(place, min(first + count, end))

    @invariant()
    def nothing_is_put_back_twice_without_a_lost_mark(self) -> None:
        """Allow one time for each letter, and one more for each time that its mark was lost."""
        for value, count in Counter(self.inbound.values).items():
            assert count <= 1 + self.repeatable[value]

    @invariant()
    def poison_stays(self) -> None:
        """Allow no poisonous letter back, however often a replay asks for it."""
        assert not self.poison & set(self.inbound.values)

    async def _replay(self, error: DeadLetterError | None) -> None:
        ranges = await partition_ranges(self.topics, self.topics, [TOPIC])
        replay = Replay(
            self.topics,
            self.topics,
            self.inbound,
            ReplayFilter(Selection(error=error)),
            Silent(),
            RateLimiter(1e9),
            sleep=FakeNaps(instant=True).sleep,
        )
        await replay.run(ranges)


TestReplays = Replays.TestCase
TestReplays.settings = settings(max_examples=100, stateful_step_count=25)
