"""A poll loses no record beside a batch that can't be decoded, whatever happens meanwhile."""

import asyncio
import tracemalloc
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError

from consumers.ports import KafkaUnavailable, Record
from tests.fakes.prefetching_consumer import P0, P1, FakeClient, PrefetchingConsumer, at
from tests.fakes.raw_batches import GZIP, batch, partly_readable_batch, unreadable_batch
from utils.kafka.batches import ReadLimits, decode, headers
from utils.kafka.codecs import MAX_DECOMPRESSED_BYTES, MAX_POLL_BYTES, bound_decompression
from utils.kafka.polling import Poller, as_record

GOOD = b"{}"
ALL = ReadLimits(500, 1 << 30)
LARGE_PARTS = ["value", "key", "one header", "many headers"]


@pytest.fixture
async def client() -> FakeClient:
    """Give a client with empty logs."""
    bound_decompression()
    return FakeClient()


@pytest.fixture
async def consumer(client: FakeClient) -> PrefetchingConsumer:
    """Give a consumer that owns both partitions from their beginning."""
    consumer = PrefetchingConsumer(client)
    consumer.assign({P0: 0, P1: 0})
    return consumer


async def poll(consumer: PrefetchingConsumer, max_records: int = 500) -> Sequence[Record]:
    """Let the broker answer, and poll once."""
    consumer.prefetch()
    return await Poller(consumer, 1 << 20).poll(10, max_records)


def large_batch(part: str) -> bytes:
    """Return a batch of one record that takes more memory than one poll may, because of this part of it."""
    large = b"x" * (8 << 20)
    match part:
        case "value":
            return batch([large], compression=GZIP)
        case "key":
            return batch([GOOD], compression=GZIP, key=large)
        case "one header":
            return batch([GOOD], compression=GZIP, headers=[("a", large)])
        case _:
            return batch([GOOD], compression=GZIP, headers=[("a", b"xy")] * 40_000)


def spans(records: Sequence[Record]) -> list[tuple[int, int]]:
    """Return the first and last offset that each record stands for."""
    return [(record.offset, record.last_offset) for record in records]


async def test_the_rest_of_a_batch_that_breaks_off_stands_for_itself(
    client: FakeClient, consumer: PrefetchingConsumer
) -> None:
    """The records before the bad one are returned, and the unreadable rest begins behind them."""
    client.add(P0, 0, 4, partly_readable_batch([GOOD, GOOD], [GOOD, GOOD]))

    assert spans(await poll(consumer)) == [(0, 0), (1, 1), (2, 3)]
    assert consumer.position(P0) == 4


async def test_a_rebalance_during_a_poll_that_fails_is_reported(
    client: FakeClient, consumer: PrefetchingConsumer
) -> None:
    """Positions of the new assignment may have moved, so the caller must not take the poll for an empty one."""
    client.add(P0, 0, 3, batch([GOOD] * 3))
    client.add(P1, 0, 3, unreadable_batch([GOOD] * 3))
    consumer._subscription.begin_reassignment()
    polling = asyncio.create_task(Poller(consumer, 1 << 20).poll(5_000, 500))
    await asyncio.sleep(0.01)
    consumer.assign({P0: 0, P1: 0})
    consumer.prefetch()

    with pytest.raises(KafkaUnavailable, match="rebalance"):
        await polling


async def test_good_partitions_go_on_beside_many_bad_batches(client: FakeClient, consumer: PrefetchingConsumer) -> None:
    """Reading partition by partition returns the good records, too."""
    client.add(P0, 0, 1, batch([GOOD]))
    for number in range(50):
        client.add(P1, number, 1, unreadable_batch([GOOD]))

    records = await poll(consumer)

    assert (0, 0) in [(record.partition, record.offset) for record in records]


async def test_a_leader_that_is_away_stops_only_its_own_partition(
    client: FakeClient, consumer: PrefetchingConsumer
) -> None:
    """The bad batch of the other partition is skipped, and what follows it is read."""
    client.add(P1, 0, 1, unreadable_batch([GOOD]))
    client.add(P1, 1, 1, batch([GOOD]))
    client.down.add(P0)

    records = [*await poll(consumer), *await poll(consumer)]

    assert spans(records) == [(0, 0), (1, 1)]


async def test_no_answer_at_all_is_unavailable(client: FakeClient, consumer: PrefetchingConsumer) -> None:
    """If no leader answers, the poll fails, and the positions are where they were."""
    client.add(P1, 0, 1, unreadable_batch([GOOD]))
    client.down |= {P0, P1}

    with pytest.raises(Exception, match="KafkaConnectionError"):
        await poll(consumer)

    assert consumer.position(P1) == 0
    await asyncio.sleep(0.01)
    assert consumer._subscription.fetcher_idle_time > 0


@pytest.mark.parametrize("owned", [[], [P0, P1]], ids=["owns nothing", "all is paused"])
async def test_an_error_of_the_coordinator_is_raised_where_nothing_is_read(
    consumer: PrefetchingConsumer, owned: list[TopicPartition]
) -> None:
    """The client's coordinator stands still until the error is taken: it sends no heartbeat and joins no group."""
    consumer.assign(dict.fromkeys(owned, 0))
    consumer.pause(*owned)
    consumer._coordinator.error = GroupAuthorizationFailedError("signin-worker")

    with pytest.raises(GroupAuthorizationFailedError):
        await poll(consumer)

    assert await poll(consumer) == []
    await asyncio.sleep(0.01)
    assert consumer._subscription.fetcher_idle_time > 0


@pytest.mark.parametrize("part", LARGE_PARTS)
async def test_one_poll_takes_a_bounded_number_of_bytes(
    client: FakeClient, consumer: PrefetchingConsumer, part: str
) -> None:
    """Twenty records of 8 MiB travel in 165 kB; a poll holds one of them at a time, and all are read."""
    large = large_batch(part)
    for number in range(20):
        client.add(P0, number, 1, large)

    for number in range(20):
        records = await poll(consumer)
        assert [record.offset for record in records] == [number]
        assert records[0].size < MAX_POLL_BYTES + MAX_DECOMPRESSED_BYTES


@pytest.mark.parametrize("part", LARGE_PARTS)
def test_reading_one_by_one_takes_a_bounded_number_of_bytes(part: str) -> None:
    """Of twenty records of 8 MiB, the first one is decoded."""
    large = large_batch(part)
    data = b"".join(at(large, number) for number in range(20))

    found = decode(P0, data, 0, ReadLimits(500, MAX_POLL_BYTES), 20)

    assert [record.offset for record in found.records] == [0]
    assert found.next_offset == 1


def test_headers_take_no_more_memory_than_the_size_of_their_record_says() -> None:
    """Twenty thousand headers of a few bytes each are mostly objects."""
    data = batch([GOOD], headers=[(f"name-{number}", b"%d" % number) for number in range(20_000)])

    tracemalloc.start()
    [found] = decode(P0, data, 0, ALL, 1).records
    record = as_record(found)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held <= record.size <= 1.5 * held


async def test_a_limit_of_records_holds_while_reading_one_by_one(
    client: FakeClient, consumer: PrefetchingConsumer
) -> None:
    """What exceeds it is read by the next polls, each record once and in order."""
    client.add(P0, 0, 5, batch([GOOD] * 5))
    client.add(P0, 5, 2, unreadable_batch([GOOD] * 2))
    client.add(P0, 7, 1, batch([GOOD]))

    found: list[tuple[int, int]] = []
    for _ in range(6):
        records = await poll(consumer, max_records=2)
        assert len(records) <= 2
        found += spans(records)

    assert found == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 6), (7, 7)]


def test_a_damaged_header_does_not_skip_the_next_batch() -> None:
    """The last offset is what is damaged here; the batch ends before the next one all the same."""
    damaged = bytearray(at(batch([GOOD] * 2), 0))
    damaged[23] ^= 0x01
    found = decode(P0, bytes(damaged) + at(batch([GOOD] * 2), 2), 0, ALL, 4)

    assert found.unreadable is not None
    assert (found.unreadable.first_offset, found.unreadable.last_offset) == (0, 1)


def test_a_damaged_header_at_the_end_skips_nothing_that_is_still_to_come() -> None:
    """Without a next batch, the high-water mark is the limit."""
    damaged = bytearray(at(batch([GOOD] * 2), 0))
    damaged[23] ^= 0x01
    found = decode(P0, bytes(damaged), 0, ALL, 2)

    assert found.unreadable is not None
    assert found.unreadable.last_offset == 1


def test_a_length_that_is_damaged_ends_the_search() -> None:
    """A batch that claims a negative length is not skipped, and nothing loops."""
    damaged = bytearray(at(batch([GOOD]), 0))
    damaged[8:12] = (-12).to_bytes(4, "big", signed=True)

    assert list(headers(bytes(damaged))) == []
