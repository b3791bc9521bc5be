"""Dead letters are put back on the topics they came from."""

import random
from dataclasses import replace

import pytest

from consumers.dead_letters.letters import Selection, partition_ranges
from consumers.dead_letters.replay import (
    AnotherReplay,
    RateLimiter,
    ReplayReport,
    TooScattered,
    pending_letters,
)
from consumers.ports import KafkaUnavailable, Record, ReplayMark
from schemas.dead_letters import DeadLetterError
from tests.fakes.dead_letters import letter_record
from tests.fakes.inbound import REQUESTED, SUBMITTED
from tests.fakes.replays import PARTITION, TOPIC, ReplayBench


def letters(count: int) -> list[Record]:
    """Return letters, each of a sign-in of its own and numbered by value."""
    return [letter_record(number, value=str(number).encode()) for number in range(count)]


async def test_a_letter_is_put_back_as_it_is() -> None:
    """Key, value and all headers, the letter's own included, return to the topic and partition they came from."""
    record = letter_record(3, value=b"\xff\x00", headers=[("a", b"1"), ("a", None)], partition=2)
    bench = ReplayBench([record])

    assert await bench.replay() == ReplayReport(put_back=1)

    [written] = bench.inbound.written

    assert (written.topic, written.partition) == (SUBMITTED, 2)
    assert written.record.key == record.key
    assert written.record.value == record.value
    assert written.record.headers == record.headers


async def test_nothing_is_put_back_a_second_time() -> None:
    """A later replay puts back only the letters that came since."""
    bench = ReplayBench(letters(3))
    assert (await bench.replay()).put_back == 3
    assert await bench.replay() == ReplayReport()

    bench.topics.append(letter_record(9, value=b"new"))

    assert (await bench.replay()).put_back == 1
    assert bench.inbound.values == [b"0", b"1", b"2", b"new"]
    assert bench.mark == ReplayMark(4, "")


async def test_no_mark_is_saved_where_nothing_changed() -> None:
    """The partition may be empty, or the filter may have left out everything."""
    bench = ReplayBench()
    await bench.replay()
    bench.topics.append(letter_record(0))
    await bench.replay(Selection(error="refused"))
    assert bench.topics.saves == 0


async def test_letters_left_out_by_a_filter_are_put_back_later() -> None:
    """Whatever the order of filters, each letter goes back once."""
    errors: list[DeadLetterError] = [
        "schema",
        "not_json",
        "schema",
        "refused",
        "not_json",
    ]
    bench = ReplayBench(letter_record(number, value=b"%d" % number, error=error) for number, error in enumerate(errors))

    assert (await bench.replay(Selection(error="not_json"))).put_back == 2
    assert await bench.replay(Selection(error="not_json")) == ReplayReport()
    assert (await bench.replay(Selection(error="refused"))).put_back == 1
    assert (await bench.replay()).put_back == 2
    assert bench.inbound.values == [b"1", b"4", b"3", b"0", b"2"]
    assert bench.mark == ReplayMark(5, "")


async def test_gaps_and_records_removed_by_retention_are_skipped() -> None:
    """Offsets without a record do not hold the mark back."""
    bench = ReplayBench()
    bench.topics.append(letter_record(0, value=b"0"), gap=4)
    bench.topics.append(letter_record(1, value=b"1"), gap=3)
    bench.topics.ends[PARTITION] += 2

    assert (await bench.replay()).put_back == 2
    assert bench.mark == ReplayMark(11, "")

    bench.topics.retain(PARTITION, 20)
    bench.topics.ends[PARTITION] = 20

    assert await bench.replay() == ReplayReport()
    assert bench.mark == ReplayMark(20, "")


async def test_a_letter_that_comes_again_and_again_is_passed_over() -> None:
    """It is reported and stays until ``max_attempts`` is raised; letters behind it are put back."""
    bench = ReplayBench(
        [
            letter_record(0, value=b"loop", times=5),
            letter_record(1, value=b"fine", times=4),
        ]
    )

    report = await bench.replay()

    assert (report.put_back, dict(report.passed_over)) == (
        1,
        {"dead-lettered 5 times": 1},
    )
    assert bench.listener.stayed == [(0, "dead-lettered 5 times")]
    assert await bench.replay() == ReplayReport(0, report.passed_over)
    assert (await bench.replay(max_attempts=6)).put_back == 1
    assert bench.inbound.values == [b"fine", b"loop"]


@pytest.mark.parametrize("topic", [REQUESTED, "signin.results", TOPIC, ""])
async def test_a_letter_with_a_forged_origin_is_not_put_back(topic: str) -> None:
    """A letter goes back to the topic of its own dead-letter topic, or not at all."""
    genuine = letter_record(0)
    bench = ReplayBench([replace(genuine, headers=[*genuine.headers, ("dlt-topic", topic.encode())])])

    assert (await bench.replay()).put_back == 0
    assert bench.inbound.written == []
    assert bench.listener.stayed == [(0, f"its dlt-topic is not {SUBMITTED}")]


async def test_a_letter_without_an_origin_is_not_put_back() -> None:
    """Somebody other than the worker wrote it."""
    bench = ReplayBench([Record(TOPIC, 0, 0, b"k", b"v")])
    assert (await bench.replay()).put_back == 0
    assert bench.inbound.written == []


async def test_after_a_crash_before_the_mark_is_saved_letters_are_put_back_again() -> None:
    """The worker applies them once, since their ids are the same."""
    bench = ReplayBench(letters(2))
    bench.topics.lost_saves = 1

    with pytest.raises(KafkaUnavailable):
        await bench.replay()

    assert (await bench.replay()).put_back == 2
    assert bench.inbound.values == [b"0", b"1"] * 2


async def test_an_outage_loses_no_mark_of_what_kafka_took() -> None:
    """When Kafka goes away in the middle, the next replay puts back only what it did not take."""
    bench = ReplayBench(letters(3))
    bench.inbound.failures = 7  # of nine tries, three per letter

    with pytest.raises(KafkaUnavailable):
        await bench.replay()

    assert len(bench.inbound.written) == 2
    assert (await bench.replay()).put_back == 1
    assert {each.record.value for each in bench.inbound.written} == {b"0", b"1", b"2"}


async def test_a_failed_write_is_retried() -> None:
    """One refused record makes the producer fail for all others that are under way."""
    bench = ReplayBench(letters(1))
    bench.inbound.failures = 2
    assert (await bench.replay()).put_back == 1
    assert bench.naps.taken == [0.2, 1.0]


async def test_a_record_that_kafka_refuses_does_not_stop_the_replay() -> None:
    """It is reported and stays, and is not retried within this replay."""
    bench = ReplayBench([letter_record(0, value=b"x" * 2_000_000), *letters(2)[1:]])

    report = await bench.replay()

    assert (report.put_back, dict(report.passed_over)) == (
        1,
        {"larger than its topic allows": 1},
    )
    assert bench.listener.stayed == [(0, "larger than its topic allows")]
    assert bench.naps.taken == []


async def test_the_order_within_a_sign_in_is_kept() -> None:
    """It is kept even when the first of the letters has to be retried."""
    same = letter_record(7)
    bench = ReplayBench(replace(same, value=str(number).encode()) for number in range(4))
    bench.inbound.failures = 1
    await bench.replay()
    assert bench.inbound.values == [b"0", b"1", b"2", b"3"]


async def test_only_letters_from_before_the_start_are_put_back() -> None:
    """A letter that fails again at once comes back behind the end, so every replay ends."""
    bench = ReplayBench(letters(2))
    ranges = await partition_ranges(bench.topics, bench.topics, [TOPIC])
    bench.topics.append(letter_record(9))

    assert (await bench.unfiltered().run(ranges)).put_back == 2
    assert bench.listener.offsets == 2


async def test_a_replay_stops_when_another_one_has_saved_a_mark() -> None:
    """The one that saves first continues.

    Letters that both put back are applied once.
    """
    bench = ReplayBench(letters(2))
    ranges = await partition_ranges(bench.topics, bench.topics, [TOPIC])

    assert (await bench.replay()).put_back == 2

    with pytest.raises(AnotherReplay):
        await bench.unfiltered().run(ranges)

    assert bench.mark == ReplayMark(2, "")
    assert bench.topics.saves == 1


async def test_a_replay_stops_when_its_mark_becomes_too_long() -> None:
    """The marks from before stay.

    A replay without a filter leaves no holes, so it continues from there.
    """
    draw = random.Random(1)
    bench = ReplayBench(letter_record(n, error=draw.choice(["schema", "not_json"])) for n in range(2_000))
    bench.max_metadata_length = 200

    with pytest.raises(TooScattered):
        await bench.replay(Selection(error="schema"))

    assert bench.topics.saves == 1
    assert len(bench.inbound.written) < 2_000
    assert (await bench.replay()).put_back == 1_500  # all but the first batch
    assert bench.mark == ReplayMark(2_000, "")


async def test_marks_are_saved_after_each_second_or_batch() -> None:
    """A replay that is killed loses the marks of one second, or of one batch if it is fast."""
    slow = ReplayBench(letters(5))
    fast = ReplayBench(letters(1_100))
    await slow.replay(seconds=1)
    await fast.replay()
    assert (slow.topics.saves, fast.topics.saves) == (5, 3)


async def test_pending_letters_can_be_read_without_putting_them_back() -> None:
    """A dry run lists them, and saves no mark."""
    bench = ReplayBench(letters(3))
    await bench.replay(Selection(signin_id="0" * 22))
    [part] = await partition_ranges(bench.topics, bench.topics, [TOPIC])

    offsets = [letter.record.offset async for letter in pending_letters(bench.topics, part, Selection())]

    assert offsets == [1, 2]
    assert bench.topics.saves == 1


async def test_the_rate_is_kept_and_a_pause_is_not_made_up_for() -> None:
    """At five a second, one passes at once and the others every 200 ms, also after a pause."""
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    rate = RateLimiter(5, lambda: now[0], sleep)
    for _ in range(3):
        await rate.wait()

    assert now[0] == pytest.approx(0.4)

    now[0] = 100
    for _ in range(3):
        await rate.wait()

    assert now[0] == pytest.approx(100.4)
