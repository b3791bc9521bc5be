"""A dead-letter topic in memory, and replays of it."""

from collections.abc import Iterable

from consumers.dead_letters.letters import DeadLetter, Selection, partition_ranges
from consumers.dead_letters.replay import RateLimiter, Replay, ReplayFilter, ReplayReport
from consumers.ports import Partition, Record, ReplayMark
from schemas.topics import dead_letter_topic
from tests.fakes.dead_letter_topics import FakeDeadLetterTopics, FakeInboundWriter
from tests.fakes.inbound import SUBMITTED
from tests.fakes.naps import FakeNaps

TOPIC = dead_letter_topic(SUBMITTED)
PARTITION = Partition(TOPIC, 0)
ALL = Selection()


class FakeListener:
    """Fulfils ``ReplayListener``."""

    def __init__(self) -> None:
        self.stayed: list[tuple[int, str]] = []
        self.offsets = 0

    def passed_over(self, letter: DeadLetter, reason: str) -> None:
        """Keep the offset and the reason."""
        self.stayed.append((letter.record.offset, reason))

    def advanced(self, offsets: int) -> None:
        """Count the offsets."""
        self.offsets += offsets


class ReplayBench:
    """A dead-letter topic of submissions, and replays of it."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.topics = FakeDeadLetterTopics(TOPIC)
        self.inbound = FakeInboundWriter()
        self.listener = FakeListener()
        self.naps = FakeNaps(instant=True)
        self.max_metadata_length = 4_096
        for record in records:
            self.topics.append(record)

    async def replay(self, selection: Selection = ALL, *, max_attempts: int = 5, seconds: float = 0) -> ReplayReport:
        """Replay once. Each look at the stopwatch takes ``seconds``."""
        now = [0.0]

        def stopwatch() -> float:
            now[0] += seconds
            return now[0]

        ranges = await partition_ranges(self.topics, self.topics, [TOPIC])
        replay = Replay(
            self.topics,
            self.topics,
            self.inbound,
            ReplayFilter(selection, max_attempts),
            self.listener,
            RateLimiter(1e9),
            stopwatch,
            self.naps.sleep,
            self.max_metadata_length,
        )

        return await replay.run(ranges)

    def unfiltered(self) -> Replay:
        """Return a replay that has not looked at the topics yet."""
        rate = RateLimiter(1e9)
        return Replay(self.topics, self.topics, self.inbound, ReplayFilter(), self.listener, rate)

    @property
    def mark(self) -> ReplayMark | None:
        """The mark that was saved last."""
        return self.topics.marks.get(PARTITION)
