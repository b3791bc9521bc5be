"""What the consumer needs of the outside, and what it hands around. Implementations of the ports live in ``utils``.

How the root composes it::

    intake   = Intake(requested_topic, submitted_topic, pseudonyms, metrics)
    breaker  = Breaker()
    temporal = TemporalGateway(client, task_queue, policy, pseudonyms, code_keys)
    gateway  = GuardedGateway(temporal, breaker, metrics, AdaptiveLimit(max_calls))
    rate     = DeadLetterBreaker(per_minute)
    handle   = Observed(DeadLettering(Retrying(Dispatcher(gateway, ages), metrics), writer, rate, group), metrics)
    consumer = ConsumerLoop(source, intake, handle, metrics, switches=(breaker, rate))
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes | None]]
Clock = Callable[[], datetime]
"""The time of day, with UTC as its zone."""
Stopwatch = Callable[[], float]
"""Seconds that only grow, from any start."""
Sleep = Callable[[float], Awaitable[None]]


def utc_now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


class KafkaUnavailable(Exception):
    """Raised by ports when Kafka did not do what was asked, this time. Trying again may help."""


class RecordRefused(KafkaUnavailable):
    """Raised when Kafka will never take this one record, by its size: trying again helps only after a change there."""


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


@dataclass(frozen=True)
class Record:
    """One record as read. ``log_append_time``: ``timestamp_ms`` is the broker's stamp, not the emitter's."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Headers = ()
    timestamp_ms: int = -1
    log_append_time: bool = False

    @property
    def topic_partition(self) -> Partition:
        """Where it was read."""
        return Partition(self.topic, self.partition)

    @property
    def size(self) -> int:
        """Bytes held in memory, roughly."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


class AssignmentListener(Protocol):
    """What a record source tells about partitions. Both calls are awaited inside the rebalance; neither raises."""

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        """Let go of all partitions (each rebalance is eager). Commits still work until this returns."""
        ...

    async def on_assigned(self, partitions: Collection[Partition]) -> None:
        """Own these partitions, maybe none, and no others."""
        ...


class RecordSource(Protocol):
    """The group's consumer (manual commits, no deserializers, Range assignor, earliest)."""

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group. Raises ``KafkaUnavailable``, holds nothing then, and may be called again."""
        ...

    async def poll(self, timeout_ms: int, max_records: int) -> Sequence[Record]:
        """Return records, or none after about ``timeout_ms``. Never cancelled before ``stop``.

        Raises ``KafkaUnavailable``, and has handed out nothing then.
        """
        ...

    def pause(self, partitions: Collection[Partition]) -> None:
        """Stop reading these; those not assigned are passed over. Forgotten by a rebalance."""
        ...

    def resume(self, partitions: Collection[Partition]) -> None:
        """Read these again; those not assigned are passed over."""
        ...

    async def rewind(self, partitions: Collection[Partition]) -> None:
        """Read next from the group's committed offset, or from the beginning if there is none.

        Partitions not assigned are passed over. Raises ``KafkaUnavailable``.
        """
        ...

    async def position(self, partition: Partition) -> int | None:
        """Return the offset after the last one that ``poll`` handed out or skipped; None if not known. Quick."""
        ...

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit exactly these: the offset of the next record to read. Cancellable. Raises ``KafkaUnavailable``."""
        ...

    async def end_offsets(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return the ends of these, of paused ones too, called from a task of its own. Raises ``KafkaUnavailable``.

        It may be called while nothing is started: then it raises that, too.
        """
        ...

    async def is_reachable(self, partitions: Collection[Partition]) -> bool:
        """Ask with a client of its own whether Kafka serves this group and these partitions (none: the topics)."""
        ...

    async def stop(self) -> None:
        """Leave the group. Commits nothing, calls no listener. Afterwards ``start`` makes a consumer anew."""
        ...


class DeadLetterWriter(Protocol):
    """The dead-letter topics."""

    async def write(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Return once all in-sync replicas have the record. Raises ``KafkaUnavailable``."""
        ...


class ReplayMark(NamedTuple):
    """How far a partition was replayed: all below ``offset``, and the offsets that ``metadata`` lists."""

    offset: int
    metadata: str


class DeadLetterReader(Protocol):
    """The dead-letter topics, read from their beginning."""

    async def bounds(self, topic: str) -> Mapping[Partition, tuple[int, int]]:
        """Return each partition's first offset and its end, as of now. Raises ``KafkaUnavailable``."""
        ...

    def read(self, partition: Partition, first: int, end: int) -> AsyncIterator[Record]:
        """Yield the records from ``first`` to before ``end``, in order. Raises ``KafkaUnavailable``."""
        ...


class ReplayStore(Protocol):
    """Where it is kept what was put back."""

    async def load(self, partition: Partition) -> ReplayMark | None:
        """Return what was noted last. Raises ``KafkaUnavailable``."""
        ...

    async def save(self, partition: Partition, mark: ReplayMark) -> None:
        """Return once it is kept. Raises ``KafkaUnavailable``."""
        ...


class InboundWriter(Protocol):
    """The inbound topics, to put records back."""

    async def put_back(self, topic: str, partition: int | None, record: Record) -> None:
        """Return once all in-sync replicas have key, value and headers of ``record``.

        On ``partition`` if the topic has it, else by the key. Raises ``RecordRefused`` and ``KafkaUnavailable``.
        """
        ...


class Switch(Protocol):
    """Something that can stop intake: a breaker."""

    @property
    def is_open(self) -> bool:
        """Whether something is wrong."""
        ...

    @property
    def stops_intake(self) -> bool:
        """Whether nothing new may be read."""
        ...


@dataclass(frozen=True)
class PartitionPosition:
    """How one partition stands. None: not known yet. ``watermark`` is the next offset to commit.

    ``position`` is the next one to read, ``head_of_line_s`` how long the record at the watermark has been in work here.
    """

    partition: Partition
    end: int | None
    watermark: int | None
    committed: int | None
    oldest_unfinished_age_s: float
    position: int | None = None
    head_of_line_s: float = 0.0

    @property
    def lag(self) -> int | None:
        """Records not done yet, finished ones behind an unfinished one included."""
        if self.end is None or self.watermark is None:
            return None
        return max(0, self.end - self.watermark)


@dataclass(frozen=True)
class ConsumerSnapshot:
    """How the consumer stands. A partition that is not in it is not owned any more."""

    partitions: Sequence[PartitionPosition]
    in_flight: int
    breaker_open: bool


class ConsumerMetrics(Protocol):
    """Where the consumer counts."""

    def record_done(self, topic: str, outcome: str) -> None:
        """Count a record once, when done: ``applied``, ``duplicate``, ``late``, ``ignored`` or ``dead_lettered``."""
        ...

    def call_postponed(self, reason: str) -> None:
        """Count a try that will be made again: ``key_busy``, ``throttled``, ``unreachable``, ``misconfigured``."""
        ...

    def limit_changed(self, limit: int) -> None:
        """Take the number of calls to Temporal that may be under way from now on."""
        ...

    def time_in_future(self, topic: str) -> None:
        """Count an event whose time lies in the future."""
        ...

    def rebalanced(self) -> None:
        """Count an assignment."""
        ...

    def rebuilt(self) -> None:
        """Count a consumer that stalled and was replaced."""
        ...

    def observe(self, snapshot: ConsumerSnapshot) -> None:
        """Take the gauges of now; called about once a second, and once more after the end."""
        ...
