"""Putting dead letters back."""

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from consumers.dead_letters.letters import DeadLetter, Selection, partition_ranges
from consumers.dead_letters.replay import (
    AnotherReplay,
    RateLimiter,
    Replay,
    ReplayFilter,
    ReplayReport,
    TooScattered,
    pending_letters,
)
from consumers.ports import KafkaUnavailable, Partition, Record, ReplayMark
from schemas.dead_letters import DeadLetterError
from schemas.topics import dead_letter_topic
from tests.fakes.dead_letters import letter_record
from tests.fakes.inbound import REQUESTED, SUBMITTED
from tests.fakes.letter_topics import FakeInbound, FakeLetterTopics
from tests.fakes.naps import FakeNaps

TOPIC = dead_letter_topic(SUBMITTED)
PARTITION = Partition(TOPIC, 0)
ALL = Selection()


class FakeWatch:
    """Fulfils ``ReplayListener``."""

    def __init__(self) -> None:
        self.stayed: list[tuple[int, str]] = []
        self.offsets = 0

    def passed_over(self, letter: DeadLetter, why: str) -> None:
        """Keep the offset and the reason."""
        self.stayed.append((letter.record.offset, why))

    def advanced(self, offsets: int) -> None:
        """Count."""
        self.offsets += offsets


class Bench:
    """A dead-letter topic of submissions, and replays of it."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.topics = FakeLetterTopics(TOPIC)
        self.inbound = FakeInbound()
        self.watch = FakeWatch()
        self.naps = FakeNaps(instant=True)
        self.max_metadata_length = 4_096
        for record in records:
            self.topics.append(record)

    async def replay(self, selection: Selection = ALL, *, max_attempts: int = 5, seconds: float = 0) -> ReplayReport:
        """Put back once; each look at the stopwatch takes ``seconds``."""
        now = [0.0]

        def stopwatch() -> float:
            now[0] += seconds
            return now[0]

        rules, pace = ReplayFilter(selection, max_attempts), RateLimiter(1e9)
        found = await partition_ranges(self.topics, self.topics, [TOPIC])
        ports = (self.topics, self.topics, self.inbound)
        replay = Replay(*ports, rules, self.watch, pace, stopwatch, self.naps.sleep, self.max_metadata_length)

        return await replay.run(found)

    @property
    def mark(self) -> ReplayMark | None:
        """What is remembered."""
        return self.topics.marks.get(PARTITION)


def letters(count: int) -> list[Record]:
    """Return so many, each of a sign-in of its own, numbered by value."""
    return [letter_record(number, value=str(number).encode()) for number in range(count)]


async def test_what_is_put_back_is_the_record_itself() -> None:
    """Key, value and headers, the letter's own among them, to the topic and the partition it came from."""
    record = letter_record(3, value=b"\xff\x00", headers=[("a", b"1"), ("a", None)], partition=2)
    bench = Bench([record])

    assert await bench.replay() == ReplayReport(put_back=1)

    [written] = bench.inbound.written

    assert (written.topic, written.partition) == (SUBMITTED, 2)
    assert (written.record.key, written.record.value, written.record.headers) == (
        record.key,
        record.value,
        record.headers,
    )


async def test_nothing_is_put_back_a_second_time() -> None:
    """New letters are, whatever was before."""
    bench = Bench(letters(3))
    assert (await bench.replay()).put_back == 3
    assert await bench.replay() == ReplayReport()
    bench.topics.append(letter_record(9, value=b"new"))
    assert (await bench.replay()).put_back == 1
    assert bench.inbound.values == [b"0", b"1", b"2", b"new"]
    assert bench.mark == ReplayMark(4, "")


async def test_where_nothing_changed_nothing_is_noted() -> None:
    """An empty partition, and one of which all was left out."""
    bench = Bench()
    await bench.replay()
    bench.topics.append(letter_record(0))
    await bench.replay(Selection(error="refused"))
    assert bench.topics.notes == 0


async def test_what_a_filter_left_out_stays_to_be_put_back() -> None:
    """The rest follows when it is meant, and each goes back once."""
    errors: list[DeadLetterError] = ["schema", "not_json", "schema", "refused", "not_json"]
    bench = Bench(letter_record(number, value=b"%d" % number, error=error) for number, error in enumerate(errors))

    assert (await bench.replay(Selection(error="not_json"))).put_back == 2
    assert await bench.replay(Selection(error="not_json")) == ReplayReport()
    assert (await bench.replay(Selection(error="refused"))).put_back == 1
    assert (await bench.replay()).put_back == 2
    assert bench.inbound.values == [b"1", b"4", b"3", b"0", b"2"]
    assert bench.mark == ReplayMark(5, "")


async def test_gaps_and_what_retention_removed_are_passed() -> None:
    """Offsets without a record hold nothing back."""
    bench = Bench()
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
    """It stays and is named, until somebody lets it through; those behind it are not held up."""
    bench = Bench([letter_record(0, value=b"loop", times=5), letter_record(1, value=b"fine", times=4)])
    tally = await bench.replay()
    assert (tally.put_back, dict(tally.passed_over)) == (1, {"dead-lettered 5 times": 1})
    assert bench.watch.stayed == [(0, "dead-lettered 5 times")]
    assert await bench.replay() == ReplayReport(0, tally.passed_over)
    assert (await bench.replay(max_attempts=6)).put_back == 1
    assert bench.inbound.values == [b"fine", b"loop"]


@pytest.mark.parametrize("topic", [REQUESTED, "signin.results", TOPIC, ""])
async def test_a_forged_origin_leads_nowhere(topic: str) -> None:
    """A letter goes back to the topic of its own dead-letter topic, or not at all."""
    genuine = letter_record(0)
    bench = Bench([replace(genuine, headers=[*genuine.headers, ("dlt-topic", topic.encode())])])
    assert (await bench.replay()).put_back == 0
    assert bench.inbound.written == []
    assert bench.watch.stayed == [(0, f"its dlt-topic is not {SUBMITTED}")]


async def test_a_letter_without_an_origin_stays() -> None:
    """Somebody else wrote it there."""
    bench = Bench([Record(TOPIC, 0, 0, b"k", b"v")])
    assert (await bench.replay()).put_back == 0
    assert bench.inbound.written == []


async def test_after_a_crash_before_the_note_it_is_put_back_again() -> None:
    """Kafka has the record, the note was lost: twice is what ids are for."""
    bench = Bench(letters(2))
    bench.topics.lost_notes = 1
    with pytest.raises(KafkaUnavailable):
        await bench.replay()
    assert (await bench.replay()).put_back == 2
    assert bench.inbound.values == [b"0", b"1"] * 2


async def test_what_kafka_took_is_noted_before_the_end() -> None:
    """With Kafka away in the midst, only what it did not take is put back the next time."""
    bench = Bench(letters(3))
    bench.inbound.failures = 7  # of nine tries, three a letter
    with pytest.raises(KafkaUnavailable):
        await bench.replay()
    assert len(bench.inbound.written) == 2
    assert (await bench.replay()).put_back == 1
    assert {each.record.value for each in bench.inbound.written} == {b"0", b"1", b"2"}


async def test_a_hiccup_is_tried_again() -> None:
    """One refused record makes the producer fail for others that are under way."""
    bench = Bench(letters(1))
    bench.inbound.failures = 2
    assert (await bench.replay()).put_back == 1
    assert bench.naps.taken == [0.2, 1.0]


async def test_a_record_that_kafka_refuses_holds_up_nothing() -> None:
    """It stays and is named; it is not tried again in this run."""
    bench = Bench([letter_record(0, value=b"x" * 2_000_000), *letters(2)[1:]])
    tally = await bench.replay()
    assert (tally.put_back, dict(tally.passed_over)) == (1, {"larger than its topic allows": 1})
    assert bench.watch.stayed == [(0, "larger than its topic allows")]
    assert bench.naps.taken == []


async def test_the_order_within_a_sign_in_is_kept() -> None:
    """Also when the first of them has to be tried again."""
    same = letter_record(7)
    bench = Bench(replace(same, value=str(number).encode()) for number in range(4))
    bench.inbound.failures = 1
    await bench.replay()
    assert bench.inbound.values == [b"0", b"1", b"2", b"3"]


async def test_only_what_was_there_at_the_start_is_put_back() -> None:
    """A letter that fails again at once comes back behind the end, so one replay always ends."""
    bench = Bench(letters(2))
    found = await partition_ranges(bench.topics, bench.topics, [TOPIC])
    bench.topics.append(letter_record(9))
    replay = Replay(bench.topics, bench.topics, bench.inbound, ReplayFilter(), bench.watch, RateLimiter(1e9))
    assert (await replay.run(found)).put_back == 2
    assert bench.watch.offsets == 2


async def test_another_replay_that_noted_something_ends_this_one() -> None:
    """Whoever notes first goes on; what the other one put back unnoted is put back once more, and deduped."""
    bench = Bench(letters(2))
    found = await partition_ranges(bench.topics, bench.topics, [TOPIC])

    assert (await bench.replay()).put_back == 2

    replay = Replay(bench.topics, bench.topics, bench.inbound, ReplayFilter(), bench.watch, RateLimiter(1e9))

    with pytest.raises(AnotherReplay):
        await replay.run(found)

    assert bench.mark == ReplayMark(2, "")
    assert bench.topics.notes == 1


async def test_more_holes_than_can_be_remembered_end_it() -> None:
    """What was noted before stays noted; without a filter there are no holes."""
    draw = random.Random(1)
    bench = Bench(letter_record(n, error=draw.choice(["schema", "not_json"])) for n in range(2_000))
    bench.max_metadata_length = 200

    with pytest.raises(TooScattered):
        await bench.replay(Selection(error="schema"))

    assert bench.topics.notes == 1
    assert len(bench.inbound.written) < 2_000
    assert (await bench.replay()).put_back == 1_500  # all but the first batch
    assert bench.mark == ReplayMark(2_000, "")


async def test_notes_are_taken_on_the_way() -> None:
    """A slow replay that is cut short has lost a second of notes, a fast one a batch."""
    slow, fast = Bench(letters(5)), Bench(letters(1_100))
    await slow.replay(seconds=1)
    await fast.replay()
    assert (slow.topics.notes, fast.topics.notes) == (5, 3)


async def test_a_dry_look_changes_nothing() -> None:
    """What is pending can be read without putting it back."""
    bench = Bench(letters(3))
    await bench.replay(Selection(signin_id="0" * 22))
    [shelf] = await partition_ranges(bench.topics, bench.topics, [TOPIC])
    assert [letter.record.offset async for letter in pending_letters(bench.topics, shelf, Selection())] == [1, 2]
    assert bench.topics.notes == 1


async def test_a_pace_is_kept_and_not_caught_up() -> None:
    """Five a second: one at once, the others 200 ms apart; after a pause not more."""
    now, naps = [0.0], FakeNaps(instant=True)

    async def sleep(seconds: float) -> None:
        now[0] += seconds
        await naps.sleep(seconds)

    pace = RateLimiter(5, lambda: now[0], sleep)
    for _ in range(3):
        await pace()

    assert now[0] == pytest.approx(0.4)

    now[0] = 100
    for _ in range(3):
        await pace()

    assert now[0] == pytest.approx(100.4)
