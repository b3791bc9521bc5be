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
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

HEADER_BYTES: Final = 150
"""What a header takes in memory beside its name and its value, as measured: a tuple and two objects."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Headers = Sequence[tuple[str, bytes | None]]
Clock = Callable[[], datetime]
"""The current time, in UTC."""
Stopwatch = Callable[[], float]
"""A monotonic clock in seconds, from any start."""
Sleep = Callable[[float], Awaitable[None]]


def utc_now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)


def record_time(milliseconds: int) -> datetime | None:
    """Return the time of a record's timestamp, or None: it has none, or a client wrote one that is no time."""
    if milliseconds < 0:
        return None

    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def record_size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Return approximately what a record of these parts takes in memory, in bytes."""
    size = len(key or b"") + len(value or b"")
    for name, text in headers:
        size += HEADER_BYTES + len(name) + len(text or b"")

    return size


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


class PartitionLog(NamedTuple):
    """The log of a partition, as its leader describes it.

    ``end``: the high-water mark. ``stable_end``: what can be read ends here, at the first open transaction. A topic
    that is deleted and created again has another ``topic_id``; None: unknown.
    """

    end: int
    stable_end: int
    topic_id: bytes | None = None


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
        return record_size(self.key, self.value, self.headers)


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

    async def check_membership(self) -> None:
        """Raise what a join in the background failed with, so that it goes on. For times when nothing is polled.

        Raises ``KafkaUnavailable``.
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

    async def seek_to_beginning(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Read on from the beginning, and return its offsets: of none if a rebalance comes meanwhile.

        Unassigned partitions are ignored. Raises ``KafkaUnavailable``.
        """
        ...

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return the group's committed offsets, of the partitions that have one. Raises ``KafkaUnavailable``."""
        ...

    async def topic_ids(self) -> Mapping[str, bytes]:
        """Return the ids of the topics, which change when a topic is created again; of none if Kafka knows no ids.

        Raises ``KafkaUnavailable``.
        """
        ...

    async def position(self, partition: Partition) -> int | None:
        """Return the offset after the last one that ``poll`` returned or skipped; None if unknown. Quick."""
        ...

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit exactly these offsets of the next records to read. Cancellable. Raises ``KafkaUnavailable``."""
        ...

    async def logs(self, partitions: Collection[Partition]) -> Mapping[Partition, PartitionLog]:
        """Return the logs of these, paused ones included, as far as Kafka knows them.

        Called from a task of its own. Raises ``KafkaUnavailable``, also before ``start``.
        """
        ...

    async def first_timestamp_s(self, partition: Partition, offset: int) -> float | None:
        """Return the time of the first record from ``offset`` on, readable or not; None if there is none.

        Called from a task of its own. Raises ``KafkaUnavailable``.
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
