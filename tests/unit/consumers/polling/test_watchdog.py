"""What the watchdog takes for a stall, when, and what it does not."""

import asyncio
from dataclasses import replace

import pytest

from consumers.ports import Partition, PartitionPosition
from consumers.polling.watchdog import ConsumerStalled, Symptom, Progress, Watchdog, symptoms, until_stalled
from tests.fakes.virtual_time import in_virtual_time

A = Partition("a", 0)
AT_REST = PartitionPosition(A, end=7, watermark=7, committed=7, oldest_unfinished_age_s=0, position=7)
WELL = Progress(assigned=True, polls=0, answers=0, positions=[AT_REST])


class Kennel:
    """A watchdog with ``stall_s=40`` that observes once a second. By default, polls return and Kafka answers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kafka_answers = True
        self.checks = 0
        self.watchdog = Watchdog(40, lambda: self.now)

    def watch(self, progress: Progress, seconds: int = 200, busy: bool = True) -> float | None:
        """Look for so long; return after how many seconds there was a stall."""
        for second in range(1, seconds + 1):
            self.now += 1
            beat = int(self.now) if busy else 0
            self.watchdog.observe(replace(progress, polls=progress.polls + beat, answers=progress.answers + beat))
            if self.watchdog.wants_check:
                self.checks += 1
                self.watchdog.checked(self.kafka_answers)

            if self.watchdog.stall is not None:
                return second

        return None


def with_position(**changes: int | None) -> Progress:
    """Return the progress of a consumer whose one partition stands so."""
    return replace(WELL, positions=[replace(AT_REST, **changes)])  # type: ignore[arg-type]  # all its fields are such


BEHIND = with_position(end=9)

SICK = [
    (BEHIND, "nothing is read"),
    (with_position(position=None, watermark=None, committed=None), "nothing is read"),
    (with_position(committed=5), "nothing is committed"),
    (replace(WELL, assigned=False, positions=[]), "no partitions are assigned"),
]


@pytest.mark.parametrize(("progress", "name"), SICK)
def test_what_lasts_is_a_stall(progress: Progress, name: str) -> None:
    """After the time that was set and a look, not before; Kafka was asked on the way."""
    kennel = Kennel()
    assert kennel.watch(progress) == 41
    assert kennel.watchdog.stall is not None
    assert kennel.watchdog.stall.name == name
    assert 3 <= kennel.checks <= 5


def test_a_poll_that_never_returns_is_a_stall() -> None:
    """Whether there is anything to read or not."""
    kennel = Kennel()
    assert kennel.watch(WELL, busy=False) == 41
    assert kennel.watchdog.stall in {Symptom("no poll returns", 0), Symptom("no end offsets arrive", 0)}


@pytest.mark.parametrize(
    "progress",
    [
        WELL,
        replace(BEHIND, paused=[A]),
        with_position(end=None),
        replace(WELL, positions=[]),
        with_position(watermark=5, committed=5),
    ],
)
def test_what_is_no_stall(progress: Progress) -> None:
    """At rest; paused behind an open breaker or a full house; no partition at all; a record that takes its time."""
    assert Kennel().watch(progress, 1000) is None


@pytest.mark.parametrize("changing", ["position", "committed"])
def test_whatever_moves_is_no_stall(changing: str) -> None:
    """However slowly, as long as it is within the time."""
    kennel = Kennel()
    for step in range(10):
        stuck = with_position(**({"end": 99, "position": step} if changing == "position" else {"committed": step - 20}))
        assert kennel.watch(stuck, 39) is None


@pytest.mark.parametrize("progress", [progress for progress, _ in SICK])
def test_kafka_away_is_no_stall(progress: Progress) -> None:
    """For as long as it is away; its time begins when it is back."""
    kennel = Kennel()
    kennel.kafka_answers = False
    assert kennel.watch(progress, 600, busy=False) is None
    kennel.kafka_answers = True
    waited_s = kennel.watch(progress, 100, busy=False)
    assert waited_s is not None
    assert 30 <= waited_s <= 41


def test_a_process_that_was_frozen_blames_nobody() -> None:
    """Stopped for minutes and woken up: its consumer gets the whole time again to come round."""
    kennel = Kennel()
    assert kennel.watch(BEHIND, 35) is None
    kennel.now += 300
    assert kennel.watch(BEHIND) == 41


def test_it_is_not_well_soon() -> None:
    """Long before it counts as a stall, so that whoever asks if it is ready learns it."""
    kennel = Kennel()
    assert kennel.watch(BEHIND, 9) is None
    assert kennel.watchdog.is_well
    assert kennel.watch(BEHIND, 3) is None
    assert not kennel.watchdog.is_well


def rebuilt(kennel: Kennel) -> None:
    """Rebuild for what is wrong now."""
    assert kennel.watchdog.stall is not None
    kennel.watchdog.rebuild(kennel.watchdog.stall)
    kennel.watchdog.begin()


def test_one_rebuild_is_allowed() -> None:
    """A second stall without health in between is the end."""
    kennel = Kennel()
    assert kennel.watch(BEHIND) == 41
    rebuilt(kennel)
    assert kennel.watch(BEHIND) == 41
    with pytest.raises(ConsumerStalled, match="nothing is read"):
        rebuilt(kennel)


def test_health_that_lasts_gives_the_rebuild_back() -> None:
    """As long as a stall takes; a short while is not enough."""
    kennel = Kennel()

    assert kennel.watch(BEHIND) == 41

    rebuilt(kennel)

    assert kennel.watch(WELL, 45) is None
    assert kennel.watch(BEHIND) == 41

    rebuilt(kennel)

    assert kennel.watch(WELL, 20) is None
    assert kennel.watch(BEHIND) == 41
    with pytest.raises(ConsumerStalled):
        rebuilt(kennel)


def test_kafka_away_gives_nothing_back() -> None:
    """An outage proves no health."""
    kennel = Kennel()
    assert kennel.watch(BEHIND) == 41

    rebuilt(kennel)
    kennel.kafka_answers = False

    assert kennel.watch(BEHIND, 300) is None

    kennel.kafka_answers = True

    assert kennel.watch(BEHIND) is not None
    with pytest.raises(ConsumerStalled):
        rebuilt(kennel)


def test_a_symptom_names_its_partition_in_the_log() -> None:
    """And nothing else of it."""
    assert [each.as_log() for each in symptoms(with_position(end=9, committed=5))][2:] == [
        {"symptom": "nothing is read", "topic": "a", "partition": 0},
        {"symptom": "nothing is committed", "topic": "a", "partition": 0},
    ]
    assert Symptom("no poll returns", 3).as_log() == {"symptom": "no poll returns"}


def test_it_is_noticed_within_a_minute() -> None:
    """With the times that hold by default, however long Kafka takes to answer the question."""

    async def stall() -> tuple[float, Symptom]:
        async def answers() -> bool:
            await asyncio.sleep(5)
            return True

        loop = asyncio.get_running_loop()
        watchdog = Watchdog(stopwatch=loop.time)
        found = await until_stalled(watchdog, lambda: replace(BEHIND, polls=int(loop.time())), answers, 1)

        return loop.time(), found

    noticed_s, found = in_virtual_time(stall())

    assert noticed_s <= 60
    assert found.partition in {A, None}
