"""The log of a partition, as a client decodes what is read from it."""

import pytest
from aiokafka import TopicPartition

from tests.simulation.consumer import batches
from tests.simulation.consumer.batches import Content
from tests.simulation.consumer.partition_log import PartitionLog
from utils.kafka.batches import Fetched, ReadLimits, decode

PARTITION = TopicPartition("topic", 0)
PRODUCER = 7


def contents(*deltas: int) -> list[Content]:
    """Return records at these places."""
    return [Content(delta, 1_000, b"key", f"value {delta}".encode()) for delta in deltas]


def log_with(*all_deltas: tuple[int, ...], producer_id: int = batches.NO_PRODUCER) -> PartitionLog:
    """Return a log with one batch for each group of places."""
    log = PartitionLog("topic", 0)
    for deltas in all_deltas:
        add(log, deltas, producer_id)

    return log


def add(log: PartitionLog, deltas: tuple[int, ...], producer_id: int = batches.NO_PRODUCER) -> None:
    """Append a batch. With a producer it is part of a transaction."""
    is_transactional = producer_id != batches.NO_PRODUCER
    data = batches.encode(contents(*deltas), 0, producer_id, is_transactional)
    log.append(data, contents(*deltas), deltas[-1], is_transactional)


def read(log: PartitionLog, offset: int = 0) -> Fetched:
    """Read the log as the worker does."""
    found = log.read(offset, 1 << 20, log.stable_end)
    data = b"".join(batch.data for batch in found)
    aborted = log.aborted_between(offset, log.end)

    return decode(PARTITION, data, offset, ReadLimits(1_000, 1 << 20), log.end, aborted)


def offsets(log: PartitionLog, offset: int = 0) -> list[int]:
    """Return the offsets of what can be read."""
    return [record.offset for record in read(log, offset).records]


def test_batches_follow_each_other() -> None:
    """A batch begins where the one before it ends, and gaps that compaction left stay."""
    log = log_with((0, 1), (1, 4), (0,))

    assert offsets(log) == [0, 1, 3, 6, 7]
    assert offsets(log, 3) == [3, 6, 7]
    assert log.end == 8


@pytest.mark.parametrize(("committed", "readable"), [(True, [0, 1, 2, 4]), (False, [0, 4])])
def test_a_transaction_is_read_once_it_is_committed(committed: bool, readable: list[int]) -> None:
    """Until then reading stops at it. An aborted one is passed over, and so is each marker."""
    log = log_with((0,))
    add(log, (0, 1), PRODUCER)
    before = offsets(log)
    log.end_transaction(PRODUCER, committed, 1_000)
    add(log, (0,))

    assert before == [0]
    assert offsets(log) == readable
    assert [offset for batch in log.batches if log.is_readable(batch) for offset in batch.offsets] == readable


@pytest.mark.parametrize("damage", [batches.with_wrong_checksum, batches.with_unknown_codec, batches.with_garbage])
def test_a_damaged_batch_cannot_be_decoded(damage: batches.Damage) -> None:
    """The worker stops before it, and knows where it ends."""
    log = log_with((0,))
    log.append(damage(batches.encode(contents(0, 1), 0)), (), 1, unreadable=True)

    found = read(log)

    assert [record.offset for record in found.records] == [0]
    assert found.unreadable is not None
    assert (found.unreadable.first_offset, found.unreadable.last_offset) == (1, 2)


def test_a_truncated_log_loses_whole_batches() -> None:
    """What is written after it takes the offsets again."""
    log = log_with((0, 1), (0, 1, 2))

    assert log.truncate(4) == 2
    add(log, (0,))
    assert offsets(log) == [0, 1, 2]
    assert log.incarnation == 1
