"""The oracle: what it accuses, and what it lets pass."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from consumers.metrics import PartitionPosition
from consumers.ports import Headers, Partition
from schemas.topics import SUBMITTED_TOPIC, dead_letter_topic
from tests.simulation.consumer import batches
from tests.simulation.consumer.batches import Content
from tests.simulation.consumer.event_loop import SimulatedLoop
from tests.simulation.consumer.events import SECRETS, Event
from tests.simulation.consumer.oracle import Oracle
from tests.simulation.consumer.partition_log import PartitionLog
from tests.simulation.story import Story
from tests.simulation.consumer.temporal_model import TemporalModel

PLACE = (SUBMITTED_TOPIC, 0)


def submission(number: int, lane: str = "mailbox") -> Event:
    """Return an event that must take effect."""
    return Event(SUBMITTED_TOPIC, b"key", b"%d" % number, (), "effect", ("submit", lane, str(number)), lane)


BAD = Event(
    SUBMITTED_TOPIC,
    b"key",
    b"{",
    (("twice", b"1"), ("twice", b"2"), ("dlt-topic", b"made up")),
    "dead letter",
    error="not_json",
)

WHY = {
    "dlt-timestamp": b"0",
    "dlt-group": b"signin-worker",
    "dlt-error": b"not_json",
    "dlt-reason": b"value: not_json",
    "dlt-failed-at": b"2026-11-27T12:00:00Z",
    "dlt-attempts": b"1",
}
"""Why BAD is a dead letter."""


class Bench:
    """One partition, and what the oracle says of it."""

    def __init__(self) -> None:
        loop = SimulatedLoop(random.Random(0))
        story = Story(loop.time)
        self.temporal = TemporalModel(loop, random.Random(0), story)
        self.oracle = Oracle(self.temporal, story)
        self.log = PartitionLog(*PLACE)
        self.oracle.watch(self.log)

    def write(self, *events: Event) -> None:
        """Append a batch."""
        contents = [Content(place, 0, event.key, event.value, event.headers) for place, event in enumerate(events)]
        batch = self.log.append(batches.encode(contents), contents, len(contents) - 1)
        self.oracle.wrote(self.log, batch, events)

    def apply(self, *numbers: int) -> None:
        """Let submissions take effect, one after the other."""
        for number in numbers:
            self.temporal.effects[submission(number).effect] = float(len(self.temporal.effects))

    def bury(self, at: int, headers: Headers, value: bytes | None = BAD.value, **own: bytes) -> None:
        """Write a dead letter. ``own``: the headers that say something else than they should."""
        place = {"dlt-topic": SUBMITTED_TOPIC.encode(), "dlt-partition": b"0", "dlt-offset": b"%d" % at}
        changed = {f"dlt-{name}": text for name, text in own.items()}
        all_headers = (*headers, *(place | WHY | changed).items())
        self.oracle.on_write(dead_letter_topic(SUBMITTED_TOPIC), 0, Content(0, 0, BAD.key, value, all_headers))

    def commit(self, offset: int) -> Sequence[str]:
        """Commit, and return all that the oracle has accused so far."""
        self.oracle.on_commit(*PLACE, offset)
        return self.oracle.violations

    def end(self) -> Sequence[str]:
        """Judge the end with everything committed."""
        self.oracle.judge_end({PLACE: self.log.stable_end})
        return self.oracle.violations


@pytest.fixture
def bench() -> Bench:
    """Give an empty partition."""
    return Bench()


def test_offsets_do_not_fall_where_no_commit_can_be_late(bench: Bench) -> None:
    """Elsewhere a commit that was given up may still arrive."""
    bench.write(submission(1), submission(2))
    bench.apply(1, 2)
    bench.commit(2)
    assert bench.commit(1) == []

    bench.oracle.offsets_may_fall = False
    assert bench.commit(1) == ["otp.submitted/0: 1 was committed after 2"]


def test_a_commit_beyond_what_is_done_is_accused(bench: Bench) -> None:
    """Up to the first record that is not done, it is fine."""
    bench.write(submission(1), submission(2), submission(3))
    bench.apply(1, 3)

    assert not bench.commit(1)
    assert bench.commit(3) == ["otp.submitted/0: 3 was committed, but 1 is not done"]


def test_a_commit_behind_an_open_transaction_is_accused(bench: Bench) -> None:
    """Nobody can have read that far."""
    bench.log.append(batches.encode([Content(0, 0, b"", b"")], 0, 7, True), (), 0, is_transactional=True)

    assert bench.commit(1) == ["otp.submitted/0: 1 was committed, but the log can be read up to 0"]


def test_order_is_judged_by_lane(bench: Bench) -> None:
    """Another lane may overtake, the same one may not."""
    bench.write(submission(1, "a"), submission(2, "a"), submission(3, "b"))
    for lane, number in (("b", 3), ("a", 2), ("a", 1)):
        bench.temporal.effects[submission(number, lane).effect] = float(len(bench.temporal.effects))

    assert bench.end() == ["otp.submitted/0: 1 took effect before 0"]


def test_what_was_written_twice_counts_from_its_first_time(bench: Bench) -> None:
    """Even if retention has deleted that by then."""
    bench.write(submission(1))
    bench.write(submission(2), submission(1))
    bench.apply(1, 2)
    bench.log.delete_before(1)
    bench.oracle.log_was_shortened(bench.log)

    assert not bench.end()


def test_what_was_deleted_before_it_was_done_has_no_order(bench: Bench) -> None:
    """It takes effect when it comes again."""
    bench.write(submission(1))
    bench.write(submission(2), submission(1))
    bench.log.delete_before(1)
    bench.oracle.log_was_shortened(bench.log)
    bench.apply(2, 1)

    assert not bench.end()


def test_a_dead_letter_has_the_bytes_of_its_record(bench: Bench) -> None:
    """Repeated headers too; a header that only pretends to be ours is left out."""
    bench.write(BAD)
    bench.bury(0, BAD.headers[:2])

    assert not bench.commit(1)
    assert not bench.end()


@pytest.mark.parametrize(("headers", "value"), [(BAD.headers[1:2], BAD.value), (BAD.headers[:2], b"other")])
def test_a_dead_letter_with_other_bytes_is_accused(bench: Bench, headers: Headers, value: bytes) -> None:
    """It does not count as the end of its record either."""
    bench.write(BAD)
    bench.bury(0, headers, value)

    assert "otp.submitted/0: 0 was never done" in bench.end()
    assert "otp.submitted/0: the dead letter of 0 is not what was written there" in bench.end()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("timestamp", b"1000"),
        ("group", b""),
        ("error", b"schema"),
        ("reason", b""),
        ("failed-at", b"yesterday"),
        ("attempts", b"0"),
    ],
)
def test_a_dead_letter_that_does_not_say_why_is_accused(bench: Bench, name: str, text: bytes) -> None:
    """Or when, whose it is, and how often."""
    bench.write(BAD)
    bench.bury(0, BAD.headers[:2], BAD.value, **{name: text})

    assert bench.end() == [f"otp.submitted/0: the dead letter of 0 has a wrong dlt-{name}"]


def test_a_shortened_dead_letter_says_what_is_missing(bench: Bench) -> None:
    """Its size and its digest."""
    bench.oracle.max_letter_bytes = 0
    bench.write(BAD)
    bench.bury(0, BAD.headers[:2], None)

    expected = "otp.submitted/0: the dead letter of 0 has a wrong dlt-value-size, dlt-value-sha256"
    assert bench.end() == [expected]


def test_a_dead_letter_that_comes_again_names_its_first_place(bench: Bench) -> None:
    """It counts one time more, and says when it failed first."""
    origin = (SUBMITTED_TOPIC, 7, 1)
    before = {"dlt-timestamp": b"5", "dlt-failed-at": b"2026-11-27T11:00:00Z", "dlt-attempts": b"2"}
    again = replace(BAD, headers=tuple(before.items()), origin=origin)
    bench.write(again)
    bench.bury(0, (), BAD.value, partition=b"7", offset=b"1", timestamp=b"5", attempts=b"3")

    assert bench.end() == ["otp.submitted/7: the dead letter of 1 has a wrong dlt-failed-at"]


def test_an_alarm_without_a_cause_is_accused(bench: Bench) -> None:
    """A log that went backwards is a cause."""
    bench.oracle.saw_new_log(SUBMITTED_TOPIC)
    accused = len(bench.oracle.violations)
    bench.oracle.log_goes_backwards(bench.log)
    bench.oracle.saw_new_log(SUBMITTED_TOPIC)

    assert accused == len(bench.oracle.violations) == 1


@pytest.mark.parametrize("reason", [SECRETS[0], b"requested_at: not_rfc3339"])
def test_a_reason_that_quotes_an_address_is_accused(bench: Bench, reason: bytes) -> None:
    """A dead letter may hold it in its value only."""
    bench.write(BAD)
    bench.bury(0, BAD.headers[:2], reason=reason)

    assert any("quotes the value" in text for text in bench.oracle.violations) == (reason == SECRETS[0])


@pytest.mark.parametrize(("committed", "is_accused"), [(2, False), (1, True)])
def test_what_is_done_from_the_start_must_be_committed_before_it_is_handed_over(
    bench: Bench, committed: int, is_accused: bool
) -> None:
    """What was done behind a record that is not done may be done again."""
    bench.write(*(submission(number) for number in range(4)))
    bench.apply(0, 1, 3)
    bench.oracle.judge_hand_over({PLACE: committed})

    assert bool(bench.oracle.violations) == is_accused


def test_what_another_worker_did_before_is_not_what_this_one_leaves(bench: Bench) -> None:
    """Seed 3221: one leaves 1 and 2 behind an undone 0. The next does 0, and has to go before it does 1 again."""
    bench.write(*(submission(number) for number in range(3)))
    bench.apply(1, 2)
    bench.oracle.judge_hand_over({PLACE: 0})
    bench.apply(0)
    bench.oracle.judge_hand_over({PLACE: 1})

    assert not bench.oracle.violations

    bench.oracle.judge_hand_over({PLACE: 0})

    assert bench.oracle.violations == ["otp.submitted/0: 0 was done, and not committed before it was left"]


@pytest.mark.parametrize(("watermark", "age_s", "accused"), [(1, 2.0, 0), (3, 2.0, 1), (1, None, 1)])
def test_a_lag_that_is_not_exact_is_accused(bench: Bench, watermark: int, age_s: float | None, accused: int) -> None:
    """So is one without an age."""
    bench.write(*(submission(number) for number in range(4)))
    bench.apply(0, 2)
    bench.oracle.judge_lag(PartitionPosition(Partition(*PLACE), 4, watermark, 0, age_s))

    assert len(bench.oracle.violations) == accused
