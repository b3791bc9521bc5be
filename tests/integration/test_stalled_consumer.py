"""Stalls of aiokafka's consumer on a real broker (its issues 712, 847, 1154)."""

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
from tests.fakes.consumer_bench import ON_A_BROKER, ComposedConsumer
from tests.fakes.inbound import request_data, signin_id
from tests.fakes.waiting import until
from utils.kafka.access import KafkaAccess
from utils.kafka.source import KafkaSource

WATCHFUL = replace(ON_A_BROKER, stall_s=5.0)


class FrailSource(KafkaSource):
    """A source whose fetcher can die: no fetch is answered any more, while all other calls and heartbeats work."""

    fetcher_dies_at_start = False
    starts = 0

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group."""
        await super().start(listener)
        self.starts += 1
        if self.fetcher_dies_at_start:
            self.kill_fetcher()

    def kill_fetcher(self) -> None:
        """Let the next fetch hang, and all after it."""
        self._consumer._fetcher._proc_fetch_request = _never


async def _never(*_: object) -> bool:
    return await asyncio.Event().wait()


@pytest.fixture
def source(kafka: Kafka, topics: Topics) -> FrailSource:
    """Return a source with its own consumer group."""
    return FrailSource(KafkaAccess(kafka.bootstrap_servers), topics.group_id, (topics.requested, topics.submitted))


async def test_a_stalled_consumer_is_rebuilt_and_nothing_is_lost(
    kafka: Kafka, topics: Topics, source: FrailSource
) -> None:
    """The new consumer reads the records that came during the stall, each once. Meanwhile the lag was visible."""
    bench = ComposedConsumer(source, WATCHFUL, (topics.requested, topics.submitted))
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer, bench.working():
        await producer.send_and_wait(topics.requested, json.dumps(request_data(1)).encode(), partition=0)
        await until(lambda: bench.applied == [signin_id(1)], 60)
        source.kill_fetcher()
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


async def test_a_second_stall_raises(kafka: Kafka, topics: Topics, source: FrailSource) -> None:
    """The error ends the process. The group was left, so that another worker gets the partitions at once."""
    source.fetcher_dies_at_start = True
    bench = ComposedConsumer(source, WATCHFUL, (topics.requested, topics.submitted))
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        await producer.send_and_wait(topics.requested, json.dumps(request_data(1)).encode(), partition=0)

    with pytest.raises(ConsumerStalled, match="nothing is read"):
        async with asyncio.timeout(90), bench.working() as run:
            await run

    assert bench.applied == []
    assert bench.metrics.rebuilds == 1
    assert source.starts == 2


@pytest.mark.parametrize("count", [0, 2])
async def test_reachability_is_checked_with_a_separate_client(source: FrailSource, topics: Topics, count: int) -> None:
    """The check asks about the owned partitions, or else about the topics. It joins no group."""
    partitions: Collection[Partition] = [Partition(topics.requested, number) for number in range(count)]
    assert await source.is_reachable(partitions)


async def test_a_broker_that_is_away_is_not_reachable(topics: Topics) -> None:
    """The check fails within a few seconds."""
    nobody = KafkaSource(KafkaAccess(f"127.0.0.1:{free_ports(1)[0]}"), topics.group_id, (topics.requested,))
    async with asyncio.timeout(20):
        assert not await nobody.is_reachable([])
