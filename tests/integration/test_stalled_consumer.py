"""aiokafka's consumer stalls without a word on a real broker (its issues 712, 847, 1154): what becomes of it."""

import asyncio
import json
from collections.abc import Collection
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer

from consumers.ports import AssignmentListener, Partition
from consumers.polling.watchdog import ConsumerStalled
from deploy.local.servers.backends import Kafka
from deploy.local.places import free_ports
from deploy.local.topics import Topics
from tests.fakes.consumer_bench import QUICK, Composed
from tests.fakes.inbound import request_data, signin_id
from tests.fakes.waiting import until
from utils.kafka.access import KafkaAccess
from utils.kafka.source import KafkaSource

WATCHFUL = replace(
    QUICK, poll_ms=50, stall_s=5.0, report_every_s=0.2, commit_interval_s=0.2, commit_timeout_s=3, stop_s=5
)


class FrailSource(KafkaSource):
    """A source whose fetcher can die: no fetch is ever answered, while heartbeats and all other calls go on."""

    stillborn = False
    starts = 0

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group."""
        await super().start(listener)
        self.starts += 1
        if self.stillborn:
            self.lose_fetcher()

    def lose_fetcher(self) -> None:
        """Let the fetcher die from its next fetch on."""
        self._consumer._fetcher._proc_fetch_request = _never


async def _never(*_: object) -> bool:
    return await asyncio.Event().wait()


@pytest.fixture
def source(kafka: Kafka, topics: Topics) -> FrailSource:
    """Give a source of a group of its own."""
    return FrailSource(KafkaAccess(kafka.bootstrap_servers), topics.group_id, (topics.requested, topics.submitted))


async def test_it_is_rebuilt_and_nothing_is_lost(kafka: Kafka, topics: Topics, source: FrailSource) -> None:
    """What came during the stall is read by the new consumer, each record applied once; the lag was seen meanwhile."""
    bench = Composed(source, WATCHFUL, (topics.requested, topics.submitted))
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer, bench.working():
        await producer.send_and_wait(topics.requested, json.dumps(request_data(1)).encode(), partition=0)
        await until(lambda: bench.applied == [signin_id(1)], 60)
        source.lose_fetcher()
        await until(lambda: bench.loop.is_well, 10)
        for number in range(2, 12):
            value = json.dumps(request_data(number)).encode()
            await producer.send_and_wait(topics.requested, value, partition=number % 2)

        await until(lambda: not bench.loop.is_well, 60)

        assert any(position.lag for position in bench.loop.positions())

        await until(lambda: bench.metrics.rebuilds == 1, 60)
        await until(lambda: len(bench.applied) == 11, 60)
        await until(lambda: bench.loop.is_well and bench.loop.ready, 60)

    assert sorted(bench.applied) == [signin_id(number) for number in range(1, 12)]
    assert source.starts == 2


async def test_one_that_stalls_again_is_the_end(kafka: Kafka, topics: Topics, source: FrailSource) -> None:
    """The error that ends the process; the group was left, so that another worker has the partitions at once."""
    source.stillborn = True
    bench = Composed(source, WATCHFUL, (topics.requested, topics.submitted))
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        await producer.send_and_wait(topics.requested, json.dumps(request_data(1)).encode(), partition=0)

    with pytest.raises(ConsumerStalled, match="nothing is read"):
        async with asyncio.timeout(90), bench.working() as run:
            await run

    assert (bench.applied, bench.metrics.rebuilds, source.starts) == ([], 1, 2)


@pytest.mark.parametrize("count", [0, 2])
async def test_kafka_is_asked_by_a_client_of_its_own(source: FrailSource, topics: Topics, count: int) -> None:
    """It answers for the topics, or for the partitions that are owned; no group is joined for that."""
    partitions: Collection[Partition] = [Partition(topics.requested, number) for number in range(count)]
    assert await source.is_reachable(partitions)


async def test_a_broker_that_is_away_is_no_stall(topics: Topics) -> None:
    """It does not answer, within a few seconds."""
    nobody = KafkaSource(KafkaAccess(f"127.0.0.1:{free_ports(1)[0]}"), topics.group_id, (topics.requested,))
    async with asyncio.timeout(20):
        assert not await nobody.is_reachable([])
