"""The log of one partition, as its leader keeps it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.simulation.consumer.batches import Batch, Content, ProducerState, at_offset, encode_marker, producer_state


class Aborted(NamedTuple):
    """A transaction that was aborted, with the offsets of its first record and of its marker."""

    producer_id: int
    first: int
    last: int


class PartitionLog:
    """Batches in the order of their offsets. ``incarnation`` counts the logs that this partition has had.

    ``on_append`` is called whenever there is more to read.
    """

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.incarnation = 0
        self.start = 0
        self.end = 0
        self.batches: list[Batch] = []
        self.aborted: list[Aborted] = []
        self.open_transactions: dict[int, int] = {}
        self.on_append: Callable[[], None] = lambda: None
        self._sequences: dict[int, tuple[int, int]] = {}

    @property
    def stable_end(self) -> int:
        """Where reading stops: at the first open transaction, or at the end."""
        return min(self.open_transactions.values(), default=self.end)

    def append(
        self,
        data: bytes,
        contents: Sequence[Content],
        last_delta: int,
        is_transactional: bool = False,
        unreadable: bool = False,
    ) -> Batch:
        """Append a batch that was encoded at offset 0."""
        writer = producer_state(data)
        batch = Batch(
            base=self.end,
            last=self.end + last_delta,
            data=at_offset(data, self.end),
            contents=tuple(contents),
            producer_id=writer.producer_id,
            is_transactional=is_transactional,
            unreadable=unreadable,
        )
        if is_transactional:
            self.open_transactions.setdefault(writer.producer_id, self.end)
        self._add(batch)

        return batch

    def end_transaction(self, producer_id: int, committed: bool, timestamp_ms: int) -> None:
        """Append the marker of a transaction."""
        first = self.open_transactions.pop(producer_id, None)
        if first is None:
            return
        if not committed:
            self.aborted.append(Aborted(producer_id, first, self.end))

        data = at_offset(encode_marker(producer_id, committed, timestamp_ms), self.end)
        self._add(Batch(self.end, self.end, data, producer_id=producer_id, is_transactional=True, is_marker=True))

    def read(self, offset: int, max_bytes: int, end: int) -> list[Batch]:
        """Return the batches from the one that holds ``offset``, before ``end``: at least one, if there is any."""
        found: list[Batch] = []
        size = 0
        for batch in self.batches:
            if batch.last < offset:
                continue
            if batch.last >= end or (found and size + len(batch.data) > max_bytes):
                break
            found.append(batch)
            size += len(batch.data)

        return found

    def aborted_between(self, offset: int, end: int) -> list[tuple[int, int]]:
        """Return the aborted transactions that a reader of these offsets must know."""
        return [(each.producer_id, each.first) for each in self.aborted if each.last >= offset and each.first < end]

    def is_readable(self, batch: Batch) -> bool:
        """Whether a consumer gets what is in a batch: not before its transaction is committed."""
        if batch.is_marker or batch.base >= self.stable_end:
            return False

        return not any(
            batch.is_transactional and batch.producer_id == each.producer_id and each.first <= batch.base < each.last
            for each in self.aborted
        )

    def expected_sequence(self, writer: ProducerState) -> tuple[int, int | None]:
        """Return the next sequence number of a producer, and the offset of its last batch if it sends that again."""
        known = self._sequences.get(writer.producer_id)
        if known is None:
            return writer.sequence, None

        following, offset = known
        is_repeated = writer.sequence + writer.records == following
        return following, offset if is_repeated else None

    def note_sequence(self, writer: ProducerState, offset: int) -> None:
        """Note what a producer has written."""
        self._sequences[writer.producer_id] = (writer.sequence + writer.records, offset)

    def truncate(self, end: int) -> int:
        """Lose all batches from ``end`` on, as in an unclean election, and return the new end."""
        self.batches = [batch for batch in self.batches if batch.last < end]
        self.end = self.batches[-1].last + 1 if self.batches else self.start
        self.aborted = [each for each in self.aborted if each.last < self.end]
        self.open_transactions = {
            producer: first for producer, first in self.open_transactions.items() if first < self.end
        }
        self.incarnation += 1

        return self.end

    def replace(self) -> None:
        """Begin an empty log, as when the topic is deleted and created again."""
        self.start = self.end = 0
        self.batches = []
        self.aborted = []
        self.open_transactions = {}
        self._sequences = {}
        self.incarnation += 1

    def delete_before(self, offset: int) -> None:
        """Forget old batches, as retention does."""
        self.batches = [batch for batch in self.batches if batch.last >= offset]
        self.start = self.batches[0].base if self.batches else self.end

    def _add(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.end = batch.last + 1
        self.on_append()
