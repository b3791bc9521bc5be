"""What the consumer needs from the outside, and the values it passes around. ``utils`` implements the ports.

A record passes these objects, which ``build_consumer`` in ``signin_worker`` composes::

    RecordSource    reads it from Kafka
    Reader          keeps track of its offset
    Intake          decodes it and chooses its lane
    Lanes           keep the order within the lane
    Handler         applies it, however often that takes, and returns its outcome
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes | None]]
Clock = Callable[[], datetime]
"""The current time, in UTC."""
Stopwatch = Callable[[], float]
"""A monotonic clock in seconds, from any start."""
Sleep = Callable[[float], Awaitable[None]]


def utc_now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)


class KafkaUnavailable(Exception):
    """Raised by ports when a call to Kafka fails. Trying again may help."""


class KafkaMisconfigured(KafkaUnavailable):
    """Raised when Kafka will refuse the call until an operator acts. Its text says what is wrong, and what to do."""


class GroupRefused(KafkaMisconfigured):
    """Raised when Kafka refuses the membership in the group. Only a consumer that joins anew can have it again."""


class RecordRefused(KafkaUnavailable):
    """Raised when Kafka refuses a record for its size. Trying again helps only after a change of Kafka's settings."""


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


class Unreadable(NamedTuple):
    """Why a batch could not be decoded (the name of an error's class), and the last offset that it holds."""

    last_offset: int
    error: str


@dataclass(frozen=True)
class Record:
    """A record as read, or in its place a batch that could not be decoded (``unreadable``).

    ``log_append_time``: the broker set ``timestamp_ms``, not the emitter.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Headers = ()
    timestamp_ms: int = -1
    log_append_time: bool = False
    unreadable: Unreadable | None = None

    @property
    def last_offset(self) -> int:
        """The last offset that it stands for: its own, except for an unreadable batch."""
        return self.offset if self.unreadable is None else self.unreadable.last_offset

    @property
    def topic_partition(self) -> Partition:
        """The partition it was read from."""
        return Partition(self.topic, self.partition)

    @property
    def log_fields(self) -> dict[str, object]:
        """Topic, partition and offset, to be logged."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}

    @property
    def size(self) -> int:
        """Approximate size in memory, in bytes."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


class AssignmentListener(Protocol):
    """Callbacks of a rebalance, which waits for both of them. Neither raises."""

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        """Give up all partitions: every rebalance is eager. Commits still work until this returns."""
        ...

    async def on_assigned(self, partitions: Collection[Partition]) -> None:
        """Own these partitions, maybe none, and no others."""
        ...


class RecordSource(Protocol):
    """The group's consumer: manual commits, no deserializers, range assignor, earliest offset first."""

    @property
    def refusal(self) -> str | None:
        """What Kafka refuses until an operator acts, and what to do."""
        ...

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group. Raises ``KafkaUnavailable``; then nothing is held, and it may be called again."""
        ...

    async def poll(self, timeout_ms: int, max_records: int) -> Sequence[Record]:
        """Return records, or none after about ``timeout_ms``. Callers never cancel it before ``stop``.

        Raises ``KafkaUnavailable``, but never after taking records.
        """
        ...

    def pause(self, partitions: Collection[Partition]) -> None:
        """Stop reading these; unassigned ones are ignored. A rebalance ends all pauses."""
        ...

    def resume(self, partitions: Collection[Partition]) -> None:
        """Read these again; unassigned ones are ignored."""
        ...

    async def seek_to_committed(self, partitions: Collection[Partition]) -> None:
        """Read on from the group's committed offset, or from the beginning if there is none.

        Unassigned partitions are ignored. Raises ``KafkaUnavailable``.
        """
        ...

    async def position(self, partition: Partition) -> int | None:
        """Return the offset after the last one that ``poll`` returned or skipped; None if unknown. Quick."""
        ...

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit exactly these offsets of the next records to read. Cancellable. Raises ``KafkaUnavailable``."""
        ...

    async def end_offsets(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return the ends of these, paused ones included. Raises ``KafkaUnavailable``, also before ``start``.

        Called from a task of its own.
        """
        ...

    async def is_reachable(self, partitions: Collection[Partition]) -> bool:
        """Ask, with a separate client, whether Kafka serves this group and these partitions (none: the topics).

        While Kafka refuses what the consumer needs, the answer is no.
        """
        ...

    async def stop(self) -> None:
        """Leave the group without a commit or a callback. ``start`` then makes a new consumer."""
        ...


class DeadLetterWriter(Protocol):
    """Writes to the dead-letter topics."""

    async def write(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Return once all in-sync replicas have the record. Raises ``KafkaUnavailable``."""
        ...


class ReplayMark(NamedTuple):
    """How far a partition was replayed: all below ``offset``, and the offsets that ``metadata`` lists."""

    offset: int
    metadata: str


class DeadLetterReader(Protocol):
    """Reads the dead-letter topics from their beginning."""

    async def bounds(self, topic: str) -> Mapping[Partition, tuple[int, int]]:
        """Return each partition's first offset and its current end. Raises ``KafkaUnavailable``."""
        ...

    def read(self, partition: Partition, first: int, end: int) -> AsyncIterator[Record]:
        """Yield the records from ``first`` up to, but not including, ``end``. Raises ``KafkaUnavailable``."""
        ...


class ReplayStore(Protocol):
    """Remembers how far each partition was replayed."""

    async def load(self, partition: Partition) -> ReplayMark | None:
        """Return the last mark saved. Raises ``KafkaUnavailable``."""
        ...

    async def save(self, partition: Partition, mark: ReplayMark) -> None:
        """Return once the mark is stored. Raises ``KafkaUnavailable``."""
        ...


class InboundWriter(Protocol):
    """Puts records back on the inbound topics."""

    async def put_back(self, topic: str, partition: int | None, record: Record) -> None:
        """Return once all in-sync replicas have the key, value and headers of ``record``.

        It goes to ``partition`` if the topic has it, else by key. Raises ``RecordRefused`` and ``KafkaUnavailable``.
        """
        ...


class IntakeBreaker(Protocol):
    """A breaker that can stop intake."""

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open."""
        ...

    @property
    def stops_intake(self) -> bool:
        """Whether no new record may be read."""
        ...


@dataclass(frozen=True)
class PartitionPosition:
    """How far one partition is. None: not known yet.

    ``watermark`` is the offset to commit, ``position`` the offset to read next. ``head_of_line_s``: how long this
    process has worked on the record at the watermark.
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
        """Records from the watermark to the end, including finished ones after an unfinished one."""
        if self.end is None or self.watermark is None:
            return None
        return max(0, self.end - self.watermark)


@dataclass(frozen=True)
class ConsumerSnapshot:
    """The state of the consumer. It lists all partitions it owns."""

    partitions: Sequence[PartitionPosition]
    in_flight: int
    breaker_open: bool


class ConsumerMetrics(Protocol):
    """The consumer's metrics."""

    def record_done(self, topic: str, outcome: str) -> None:
        """Count a finished record: ``applied``, ``duplicate``, ``late``, ``ignored`` or ``dead_lettered``."""
        ...

    def call_postponed(self, reason: str) -> None:
        """Count a call that will be retried: ``key_busy``, ``throttled``, ``unreachable``, ``misconfigured``."""
        ...

    def limit_changed(self, limit: int) -> None:
        """Set the current limit of concurrent calls to Temporal."""
        ...

    def time_in_future(self, topic: str) -> None:
        """Count an event with a timestamp in the future."""
        ...

    def rebalanced(self) -> None:
        """Count an assignment of partitions."""
        ...

    def rebuilt(self) -> None:
        """Count a stalled consumer that was replaced."""
        ...

    def observe(self, snapshot: ConsumerSnapshot) -> None:
        """Set the gauges. Called about once a second, and once more at the end of a consumer session."""
        ...
