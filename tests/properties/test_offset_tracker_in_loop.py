"""The whole consumer under any interleaving: no record is lost or skipped, and each key keeps its order."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.pseudonyms import Pseudonyms
from consumers.handling.dead_lettering import DeadLettering, DeadLetterBreaker, DeadLetterLimits
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
    """Append a record for ``key`` to ``partition``. It is applied after ``failures`` tries of ``turns`` turns each.

    Key 0 gives an unreadable record.
    """

    partition: int
    key: int
    gap: int
    failures: int
    turns: int


@dataclass(frozen=True)
class Rebalance:
    """Assign these partitions. Their records can be polled ``early_turns`` turns before the callback."""

    numbers: frozenset[int]
    early_turns: int


@dataclass(frozen=True)
class Outage:
    """Kafka is away for some turns."""

    turns: int


@dataclass(frozen=True)
class Wait:
    """Other tasks get some turns."""

    turns: int


Step = Produce | Rebalance | Outage | Wait

TURNS = st.integers(0, 40)
STEPS = st.lists(
    st.builds(
        Produce,
        partition=st.integers(0, 1),
        key=st.integers(0, 3),
        gap=st.integers(0, 2),
        failures=st.integers(0, 2),
        turns=st.integers(0, 15),
    )
    | st.builds(Rebalance, numbers=st.frozensets(st.integers(0, 1)), early_turns=st.integers(0, 8))
    | st.builds(Outage, turns=TURNS)
    | st.builds(Wait, turns=TURNS),
    max_size=40,
)


class Ledger:
    """Handles records as their values say, and keeps in order which were started and which were done."""

    def __init__(self) -> None:
        self.epoch = 0
        self.started: dict[int, list[tuple[Partition, int]]] = defaultdict(list)
        self.done: list[tuple[Partition, int, str]] = []
        self.busy: set[tuple[Partition, str]] = set()
        self._tries: dict[tuple[int, Partition, int], int] = defaultdict(int)

    async def handle(self, delivery: Delivery) -> Outcome:
        """Apply a record after as many failures as its value says."""
        if isinstance(delivery.content, Rejected):
            return delivery.content

        assert isinstance(delivery.content, ReceivedRequest)

        partition = delivery.record.topic_partition
        offset = delivery.record.offset
        failures, turns = json.loads(delivery.content.event.turnstile_token or "")
        tries = self._count_try(partition, offset)
        await self._work(partition, delivery.lane, turns)

        if tries <= failures:
            raise KeyBusy

        self.done.append((partition, offset, delivery.lane))

        return Applied()

    def _count_try(self, partition: Partition, offset: int) -> int:
        self._tries[self.epoch, partition, offset] += 1
        tries = self._tries[self.epoch, partition, offset]
        if tries == 1:
            self.started[self.epoch].append((partition, offset))

        return tries

    async def _work(self, partition: Partition, lane: str, turns: int) -> None:
        key = (partition, lane)
        assert key not in self.busy, "two records of one key at once"

        self.busy.add(key)
        try:
            await wait_turns(turns)
        finally:
            self.busy.discard(key)


class CheckingBroker(FakeBroker):
    """A broker that checks each commit: every record below it must be done, and no watermark may move back."""

    def __init__(self, ledger: Ledger, writer: FakeDeadLetterWriter) -> None:
        super().__init__()
        self._ledger = ledger
        self._writer = writer

    def accept(self, offsets: Mapping[Partition, int]) -> None:
        """Check a commit and store it."""
        finished = finished_records(self._ledger, self._writer)
        for partition, mark in offsets.items():
            assert mark >= self.committed.get(partition, 0)
            below = {record.offset for record in self.logs.get(partition, []) if record.offset < mark}
            assert all((partition, offset) in finished for offset in below), "a commit skipped an unfinished record"

        super().accept(offsets)


def finished_records(ledger: Ledger, writer: FakeDeadLetterWriter) -> set[tuple[Partition, int]]:
    """Return the records that were applied or dead-lettered."""
    applied = {(partition, offset) for partition, offset, _ in ledger.done}
    dead_lettered = {origin(written.headers) for written in writer.written}
    return applied | dead_lettered


def origin(headers: Headers) -> tuple[Partition, int]:
    """Return where a dead letter came from."""
    by_name = {name: value or b"" for name, value in headers}
    partition = Partition(by_name["dlt-topic"].decode(), int(by_name["dlt-partition"]))
    return partition, int(by_name["dlt-offset"])


async def wait_turns(count: int) -> None:
    """Let other tasks have ``count`` turns."""
    for _ in range(count):
        await asyncio.sleep(0)


def produce(broker: FakeBroker, step: Produce) -> None:
    """Append the record that the step describes."""
    token = json.dumps([step.failures, step.turns])
    data = request_data(step.key, turnstile_token=token) if step.key else b"poison"
    broker.append(record(REQUESTED, data, step.partition), step.gap)


async def take(step: Step, source: FakeRecordSource, ledger: Ledger) -> None:
    """Take one step."""
    match step:
        case Produce():
            produce(source.broker, step)

        case Rebalance(numbers, early_turns):
            partitions = frozenset(PARTITIONS[number] for number in numbers)
            await rebalance(source, ledger, partitions, early_turns)

        case Outage(turns):
            source.broker.down = True
            await wait_turns(turns)
            source.broker.down = False

        case Wait(turns):
            await wait_turns(turns)


async def rebalance(
    source: FakeRecordSource, ledger: Ledger, partitions: frozenset[Partition], early_turns: int
) -> None:
    """Assign partitions. Records handled from here on belong to a new epoch of the ledger."""

    def begin_epoch() -> None:
        assert not ledger.busy, "a record of the old assignment is still in flight"
        ledger.epoch += 1

    await source.assign(*sorted(partitions), early_turns=early_turns, while_unassigned=begin_epoch)


def check(ledger: Ledger, broker: FakeBroker, writer: FakeDeadLetterWriter) -> None:
    """Check that no record is lost, none starts twice in an assignment, and each key is first applied in order."""
    produced = {(partition, record.offset) for partition, log in broker.logs.items() for record in log}
    assert finished_records(ledger, writer) == produced

    for started in ledger.started.values():
        assert len(started) == len(set(started))

    by_key: dict[tuple[Partition, str], list[int]] = defaultdict(list)
    for partition, offset, lane in dict.fromkeys(ledger.done):
        by_key[partition, lane].append(offset)

    assert all(offsets == sorted(offsets) for offsets in by_key.values())


async def run_scenario(steps: list[Step], poll_delay_turns: int) -> None:
    """Take the steps, then read every partition to its end."""
    ledger = Ledger()
    writer = FakeDeadLetterWriter()
    metrics = FakeConsumerMetrics()
    broker = CheckingBroker(ledger, writer)
    source = FakeRecordSource(broker, poll_delay_turns)

    retrying = Retrying(ledger.handle, metrics, Backoff(0.0001, 0.0002))
    handle = Observed(DeadLettering(retrying, writer, DeadLetterBreaker(DeadLetterLimits(0)), "group"), metrics)
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


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.integers(0, 8))
def test_any_interleaving_loses_nothing_and_keeps_the_order(steps: list[Step], poll_delay_turns: int) -> None:
    """Completions, failures, rebalances and outages may come in any order."""
    asyncio.run(run_scenario(steps, poll_delay_turns))
