"""The whole consumer under any interleaving: nothing is lost, nothing passed over, order holds per key."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.pseudonyms import Pseudonyms
from consumers.handling.dead_lettering import DeadLettering, DeadLetterBreaker
from consumers.decode import ReceivedRequest
from consumers.intake import Delivery, Intake
from consumers.polling.limits import ConsumerLimits
from consumers.polling.loop import ConsumerLoop
from consumers.handling.observed import Observed
from consumers.outcomes import Applied, KeyBusy, Outcome, Rejected
from consumers.ports import Headers, Partition
from consumers.handling.retrying import Backoff, Retrying
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.dead_letter_writer import FakeDeadLetterWriter
from tests.fakes.inbound import REQUESTED, SUBMITTED, record, request_data
from tests.fakes.record_source import FakeBroker, FakeRecordSource
from tests.fakes.waiting import until

PARTITIONS = [Partition(REQUESTED, 0), Partition(REQUESTED, 1)]
LIMITS = ConsumerLimits(
    max_records=6,
    max_read_ahead=8,
    poll_ms=5,
    poll_when_full_ms=1,
    commit_interval_s=0.001,
    report_every_s=0.01,
    retry_s=0.001,
    drain_s=0.002,
)


@dataclass(frozen=True)
class Produce:
    """A record for ``key`` in ``partition``, handled after ``tries`` failures of ``turns`` each. Key 0: poison."""

    partition: int
    key: int
    gap: int
    tries: int
    turns: int


@dataclass(frozen=True)
class Rebalance:
    """An assignment of these partitions, of which records can be polled ``early`` turns before it is told."""

    numbers: frozenset[int]
    early: int


@dataclass(frozen=True)
class Outage:
    """Kafka away for some turns."""

    turns: int


@dataclass(frozen=True)
class Breathe:
    """Others have some turns."""

    turns: int


TURNS = st.integers(0, 40)
STEPS = st.lists(
    st.builds(
        Produce,
        partition=st.integers(0, 1),
        key=st.integers(0, 3),
        gap=st.integers(0, 2),
        tries=st.integers(0, 2),
        turns=st.integers(0, 15),
    )
    | st.builds(Rebalance, numbers=st.frozensets(st.integers(0, 1)), early=st.integers(0, 8))
    | st.builds(Outage, turns=TURNS)
    | st.builds(Breathe, turns=TURNS),
    max_size=40,
)


class Ledger:
    """Handles records as their values ask for, and keeps what was begun and what was done, in order."""

    def __init__(self) -> None:
        self.epoch = 0
        self.begun: dict[int, list[tuple[Partition, int]]] = defaultdict(list)
        self.done: list[tuple[Partition, int, str]] = []
        self.busy: set[tuple[Partition, str]] = set()
        self._tries: dict[tuple[int, Partition, int], int] = defaultdict(int)

    async def handle(self, delivery: Delivery) -> Outcome:
        """Apply a record once it was tried often enough."""
        source, offset, epoch = delivery.record.topic_partition, delivery.record.offset, self.epoch
        if isinstance(delivery.content, Rejected):
            return delivery.content

        assert isinstance(delivery.content, ReceivedRequest)

        lane = (source, delivery.lane)

        assert lane not in self.busy, "two records of one key at once"

        self.busy.add(lane)

        try:
            tries, turns = json.loads(delivery.content.event.turnstile_token or "")
            tried = self._tries[epoch, source, offset]
            self._tries[epoch, source, offset] += 1
            if not tried:
                self.begun[epoch].append((source, offset))

            await wait_turns(turns)
        finally:
            self.busy.discard(lane)

        if tried < tries:
            raise KeyBusy

        self.done.append((source, offset, delivery.lane))

        return Applied()


class WatchedBroker(FakeBroker):
    """A broker that checks each commit against the ledger: no record below it may be undone."""

    def __init__(self, ledger: Ledger, writer: FakeDeadLetterWriter) -> None:
        super().__init__()
        self._ledger = ledger
        self._writer = writer

    def accept(self, offsets: Mapping[Partition, int]) -> None:
        """Check, and count a mark that moves back as wrong too."""
        buried = {origin(written.headers) for written in self._writer.written}
        done = {(partition, offset) for partition, offset, _ in self._ledger.done} | buried
        for partition, mark in offsets.items():
            assert mark >= self.committed.get(partition, 0)
            below = {each.offset for each in self.logs.get(partition, []) if each.offset < mark}
            assert all((partition, offset) in done for offset in below), "a commit passed an undone record"
        super().accept(offsets)


def origin(headers: Headers) -> tuple[Partition, int]:
    """Return where a dead letter came from."""
    by_name = {name: value or b"" for name, value in headers}
    return Partition(by_name["dlt-topic"].decode(), int(by_name["dlt-partition"])), int(by_name["dlt-offset"])


async def wait_turns(count: int) -> None:
    """Let others have ``count`` turns."""
    for _ in range(count):
        await asyncio.sleep(0)


def produce(broker: FakeBroker, step: Produce) -> None:
    """Append what the step says."""
    token = json.dumps([step.tries, step.turns])
    data = request_data(step.key, turnstile_token=token) if step.key else b"poison"
    broker.append(record(REQUESTED, data, step.partition), step.gap)


async def take(step: Produce | Rebalance | Outage | Breathe, source: FakeRecordSource, ledger: Ledger) -> None:
    """Take one step."""
    match step:
        case Produce():
            produce(source.broker, step)
        case Rebalance(numbers, early):
            await rebalance(source, ledger, frozenset(PARTITIONS[number] for number in numbers), early)
        case Outage(turns):
            source.broker.down = True
            await wait_turns(turns)
            source.broker.down = False
        case Breathe(turns):
            await wait_turns(turns)


async def rebalance(source: FakeRecordSource, ledger: Ledger, partitions: frozenset[Partition], early: int) -> None:
    """Assign; what is handled from here on belongs to a new epoch of the ledger."""

    def begin() -> None:
        assert not ledger.busy, "a record of the old assignment is still under way"
        ledger.epoch += 1

    await source.assign(*sorted(partitions), early=early, between=begin)


def check(ledger: Ledger, broker: FakeBroker, writer: FakeDeadLetterWriter) -> None:
    """Nothing is lost; within an assignment nothing is begun twice; first times are in order per key."""
    buried = {origin(written.headers) for written in writer.written}
    done = {(partition, offset) for partition, offset, _ in ledger.done}

    assert done | buried == {(partition, each.offset) for partition, log in broker.logs.items() for each in log}

    for begun in ledger.begun.values():
        assert len(begun) == len(set(begun))

    first_times = dict.fromkeys(ledger.done)
    by_key: dict[tuple[Partition, str], list[int]] = defaultdict(list)
    for partition, offset, lane in first_times:
        by_key[partition, lane].append(offset)

    assert all(offsets == sorted(offsets) for offsets in by_key.values())


async def scenario(steps: list[Produce | Rebalance | Outage | Breathe], lag_of_poll: int) -> None:
    """Take the steps, then let everything be read to its end."""
    ledger, writer, metrics = Ledger(), FakeDeadLetterWriter(), FakeConsumerMetrics()
    broker = WatchedBroker(ledger, writer)
    source = FakeRecordSource(broker, lag_of_poll)
    retrying = Retrying(ledger.handle, metrics, Backoff(0.0001, 0.0002))
    handle = Observed(DeadLettering(retrying, writer, DeadLetterBreaker(0), "group"), metrics)
    intake = Intake(REQUESTED, SUBMITTED, Pseudonyms(bytes(32)), metrics)
    loop = ConsumerLoop(source, intake, handle, metrics, limits=LIMITS)
    run = asyncio.create_task(loop.run())
    await until(lambda: source.started)
    await rebalance(source, ledger, frozenset(PARTITIONS), 0)
    for step in steps:
        await take(step, source, ledger)

    await rebalance(source, ledger, frozenset(PARTITIONS), 0)
    await until(lambda: run.done() or all(broker.committed.get(each, 0) == end for each, end in broker.ends.items()))
    loop.stop()
    await run
    check(ledger, broker, writer)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(0, 8))
def test_whatever_the_interleaving(steps: list[Produce | Rebalance | Outage | Breathe], lag_of_poll: int) -> None:
    """Completions, failures, rebalances and outages in any order."""
    asyncio.run(scenario(steps, lag_of_poll))
