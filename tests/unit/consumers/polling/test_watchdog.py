"""When the watchdog declares a stall, and when it does not."""

import asyncio
from dataclasses import replace

import pytest

from consumers.polling.watchdog import ConsumerStalled, Progress, Symptom, Watchdog, symptoms, until_stalled
from consumers.metrics import PartitionPosition
from consumers.ports import Partition
from tests.fakes.virtual_time import in_virtual_time

A = Partition("a", 0)
AT_REST = PartitionPosition(A, end=7, watermark=7, committed=7, oldest_unfinished_age_s=0, position=7, stable_end=7)
WELL = Progress(assigned=True, polls=0, answers=0, positions=[AT_REST])


class Bench:
    """A watchdog with ``stall_s=40`` that observes once a second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kafka_answers = True
        self.checks = 0
        self.watchdog = Watchdog(40, lambda: self.now)

    def watch(self, progress: Progress, seconds: int = 200, polling: bool = True) -> float | None:
        """Observe the same progress for so long, and return after how many seconds there was a stall.

        ``polling``: polls return and Kafka answers meanwhile.
        """
        for second in range(1, seconds + 1):
            self.now += 1
            count = int(self.now) if polling else 0
            self.watchdog.observe(replace(progress, polls=progress.polls + count, answers=progress.answers + count))
            if self.watchdog.wants_check:
                self.checks += 1
                self.watchdog.checked(self.kafka_answers)

            if self.watchdog.stall is not None:
                return second

        return None

    def rebuild(self) -> None:
        """Rebuild the consumer for its current stall."""
        assert self.watchdog.stall is not None
        self.watchdog.rebuild(self.watchdog.stall)
        self.watchdog.begin()


def with_position(**changes: int | None) -> Progress:
    """Return the progress of a consumer with this position in its only partition."""
    return replace(WELL, positions=[replace(AT_REST, **changes)])  # type: ignore[arg-type]  # all its fields are such


BEHIND = with_position(end=9, stable_end=9)

STALLED = [
    (BEHIND, "nothing is read"),
    (with_position(position=None, watermark=None, committed=None), "nothing is read"),
    (with_position(committed=5), "nothing is committed"),
    (replace(WELL, assigned=False, positions=[]), "no partitions are assigned"),
]


@pytest.mark.parametrize(("progress", "name"), STALLED)
def test_a_symptom_that_lasts_is_a_stall(progress: Progress, name: str) -> None:
    """It takes ``stall_s`` and one more observation. Kafka is checked about four times on the way."""
    bench = Bench()
    assert bench.watch(progress) == 41
    assert bench.watchdog.stall is not None
    assert bench.watchdog.stall.name == name
    assert 3 <= bench.checks <= 5


def test_a_poll_that_never_returns_is_a_stall() -> None:
    """It is a stall even if there is nothing to read."""
    bench = Bench()
    assert bench.watch(WELL, polling=False) == 41
    assert bench.watchdog.stall in {Symptom("no poll returns", 0), Symptom("no end offsets arrive", 0)}


@pytest.mark.parametrize(
    "progress",
    [
        pytest.param(WELL, id="at rest"),
        pytest.param(replace(BEHIND, paused=[A]), id="paused"),
        pytest.param(with_position(end=None, stable_end=None), id="end unknown"),
        pytest.param(with_position(end=9), id="open transaction"),
        pytest.param(replace(WELL, positions=[]), id="no partitions owned"),
        pytest.param(with_position(watermark=5, committed=5), id="slow record"),
    ],
)
def test_a_consumer_with_nothing_to_do_is_not_stalled(progress: Progress) -> None:
    """Neither an idle or paused consumer nor a slow record is a stall."""
    assert Bench().watch(progress, 1000) is None


@pytest.mark.parametrize("changing", ["position", "committed"])
def test_slow_progress_is_not_a_stall(changing: str) -> None:
    """One change within ``stall_s`` is enough."""
    bench = Bench()
    for step in range(10):
        changes = {"stable_end": 99, "position": step} if changing == "position" else {"committed": step - 20}
        assert bench.watch(with_position(**changes), 39) is None


@pytest.mark.parametrize("progress", [progress for progress, _ in STALLED])
def test_an_outage_of_kafka_is_not_a_stall(progress: Progress) -> None:
    """While Kafka is away, no clock runs. The clocks start when it is back."""
    bench = Bench()
    bench.kafka_answers = False
    assert bench.watch(progress, 600, polling=False) is None

    bench.kafka_answers = True
    waited_s = bench.watch(progress, 100, polling=False)
    assert waited_s is not None
    assert 30 <= waited_s <= 41


def test_a_frozen_process_is_not_a_stall() -> None:
    """After minutes without an observation, the consumer has all of ``stall_s`` again."""
    bench = Bench()
    assert bench.watch(BEHIND, 35) is None
    bench.now += 300
    assert bench.watch(BEHIND) == 41


def test_a_consumer_is_not_well_long_before_a_stall() -> None:
    """So readiness fails after a quarter of ``stall_s``."""
    bench = Bench()
    assert bench.watch(BEHIND, 9) is None
    assert bench.watchdog.is_well
    assert bench.watch(BEHIND, 3) is None
    assert not bench.watchdog.is_well


def test_only_one_rebuild_is_allowed() -> None:
    """A second stall without recovery in between raises."""
    bench = Bench()
    assert bench.watch(BEHIND) == 41
    bench.rebuild()
    assert bench.watch(BEHIND) == 41
    with pytest.raises(ConsumerStalled, match="nothing is read"):
        bench.rebuild()


def test_a_lasting_recovery_allows_another_rebuild() -> None:
    """The consumer must be well for ``stall_s``; a shorter recovery does not count."""
    bench = Bench()
    assert bench.watch(BEHIND) == 41
    bench.rebuild()

    assert bench.watch(WELL, 45) is None
    assert bench.watch(BEHIND) == 41
    bench.rebuild()

    assert bench.watch(WELL, 20) is None
    assert bench.watch(BEHIND) == 41
    with pytest.raises(ConsumerStalled):
        bench.rebuild()


def test_an_outage_of_kafka_is_not_a_recovery() -> None:
    """The time without Kafka does not count as time being well."""
    bench = Bench()
    assert bench.watch(BEHIND) == 41
    bench.rebuild()

    bench.kafka_answers = False
    assert bench.watch(BEHIND, 300) is None

    bench.kafka_answers = True
    assert bench.watch(BEHIND) is not None
    with pytest.raises(ConsumerStalled):
        bench.rebuild()


def test_a_symptom_names_its_partition_in_the_log() -> None:
    """It logs its name and, if it has one, its partition."""
    assert [symptom.as_log() for symptom in symptoms(with_position(stable_end=9, committed=5))][2:] == [
        {"symptom": "nothing is read", "topic": "a", "partition": 0},
        {"symptom": "nothing is committed", "topic": "a", "partition": 0},
    ]
    assert Symptom("no poll returns", 3).as_log() == {"symptom": "no poll returns"}


def test_a_stall_is_detected_within_a_minute() -> None:
    """This holds with the default limits, even if each check of Kafka takes five seconds."""

    async def is_reachable() -> bool:
        await asyncio.sleep(5)
        return True

    async def detect() -> tuple[float, Symptom]:
        loop = asyncio.get_running_loop()
        watchdog = Watchdog(stopwatch=loop.time)
        stall = await until_stalled(watchdog, lambda: replace(BEHIND, polls=int(loop.time())), is_reachable, 1)

        return loop.time(), stall

    detected_at, stall = in_virtual_time(detect())

    assert detected_at <= 60
    assert stall.partition in {A, None}
