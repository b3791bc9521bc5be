"""Dead letters are written before their outcome is returned, and too many of them stop consumption."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from consumers.handling.dead_lettering import DeadLetterBreaker, DeadLettering, DeadLetterLimits
from consumers.intake import Delivery
from consumers.outcomes import Applied, Outcome, Rejected
from consumers.ports import Headers, Record
from tests.fakes.dead_letter_writer import FakeDeadLetterWriter, Written
from tests.fakes.dead_letters import OWN_HEADERS
from tests.fakes.naps import FakeNaps
from tests.fakes.waiting import until

NOW = datetime(2026, 11, 23, 9, 0, 0, 125_000, tzinfo=UTC)
REJECTED = Rejected("schema", "code: missing")
HEADERS: Headers = [("a", b"\xff"), ("b", None), ("a", b"2"), ("dlt-unknown", b"kept")]
RECORD = Record("otp.submitted", 3, 41, b"\x00key", b"\xff value", HEADERS, 1_700_000_000_123)


def delivery(record: Record = RECORD) -> Delivery:
    """Return a delivery that was rejected when it was decoded."""
    return Delivery(record, REJECTED, "offset/41")


async def reject(delivery: Delivery) -> Outcome:
    """Reject every record: a handler."""
    assert isinstance(delivery.content, Rejected)
    return delivery.content


def dead_lettering(
    writer: FakeDeadLetterWriter,
    breaker: DeadLetterBreaker | None = None,
    naps: FakeNaps | None = None,
) -> DeadLettering:
    """Return the handler under test."""
    sleep = (naps or FakeNaps(instant=True)).sleep
    breaker = breaker or DeadLetterBreaker()
    return DeadLettering(reject, writer, breaker, "group", clock=lambda: NOW, sleep=sleep)


async def test_key_value_and_headers_are_kept_byte_for_byte() -> None:
    """The record's headers keep order and repeats; the letter's own headers follow."""
    writer = FakeDeadLetterWriter()
    assert await dead_lettering(writer)(delivery()) == REJECTED
    assert writer.written == [Written("otp.submitted.dlt", b"\x00key", b"\xff value", [*HEADERS, *OWN_HEADERS])]


async def test_a_value_that_the_topic_cannot_take_is_replaced_by_its_size_and_digest() -> None:
    """Its partition goes on: key, headers and origin are kept, and the value can be recognised."""
    writer = FakeDeadLetterWriter(max_bytes=1_000)
    large = replace(RECORD, value=b"x" * 2_000)

    assert await dead_lettering(writer)(delivery(large)) == REJECTED

    digest = hashlib.sha256(b"x" * 2_000).hexdigest().encode()
    replaced = [("dlt-value-size", b"2000"), ("dlt-value-sha256", digest)]
    assert writer.written == [
        Written("otp.submitted.dlt", b"\x00key", None, [*HEADERS, *OWN_HEADERS, *replaced]),
    ]


async def test_a_dead_letter_that_was_refused_is_not_tried_again_at_full_size() -> None:
    """Each refusal by the brokers fails what waits on the same producer, so large letters must not repeat it."""
    writer = FakeDeadLetterWriter(max_bytes=1_000)
    writer.failures_after_refusal = 5
    naps = FakeNaps(instant=True)

    assert await dead_lettering(writer, naps=naps)(delivery(replace(RECORD, value=b"x" * 2_000))) == REJECTED

    assert (writer.refused, len(naps.taken)) == (1, 5)
    assert [written.value for written in writer.written] == [None]


async def test_headers_that_the_topic_cannot_take_are_left_out() -> None:
    """The origin, the reason and the digest are written even if key and headers alone are too large."""
    writer = FakeDeadLetterWriter(max_bytes=1_000)
    large = replace(RECORD, headers=[("x", b"y" * 2_000)])

    assert await dead_lettering(writer)(delivery(large)) == REJECTED

    (written,) = writer.written
    assert (written.key, written.value) == (None, None)
    assert list(written.headers)[: len(OWN_HEADERS)] == OWN_HEADERS
    assert dict(written.headers)["dlt-value-size"] == b"7"


async def test_a_tombstone_stays_a_tombstone() -> None:
    """A record without key and value makes a dead letter without key and value."""
    writer = FakeDeadLetterWriter()
    await dead_lettering(writer)(delivery(replace(RECORD, key=None, value=None)))
    assert (writer.written[0].key, writer.written[0].value) == (None, None)


async def test_other_outcomes_write_nothing() -> None:
    """Only a rejection makes a dead letter; any other outcome is returned as it is."""
    writer = FakeDeadLetterWriter()

    async def apply(_: Delivery) -> Outcome:
        return Applied()

    assert await DeadLettering(apply, writer, DeadLetterBreaker(), "group")(delivery()) == Applied()
    assert not writer.written


async def test_the_outcome_waits_for_kafkas_acknowledgement() -> None:
    """However many tries it takes, the offset stays open meanwhile."""
    writer = FakeDeadLetterWriter()
    writer.failures = 30
    naps = FakeNaps(instant=True)

    assert await dead_lettering(writer, naps=naps)(delivery()) == REJECTED

    assert len(naps.taken) == 30
    assert max(naps.taken) <= 10
    assert len(writer.written) == 1


async def test_too_many_in_a_minute_stop_consumption_until_resumed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The letter above the limit opens the breaker and is not written.

    After ``resume`` the count starts at zero.
    """
    seconds = [0.0]
    writer = FakeDeadLetterWriter()
    breaker = DeadLetterBreaker(DeadLetterLimits(2), lambda: seconds[0])
    handle = dead_lettering(writer, breaker)

    for moment in (0.0, 59.9, 60.0):
        seconds[0] = moment
        await handle(delivery())

    assert not breaker.is_open

    waiting = [asyncio.ensure_future(handle(delivery())) for _ in range(2)]
    await until(lambda: breaker.is_open)

    assert len(writer.written) == 3
    assert breaker.resume()

    await asyncio.gather(*waiting)

    assert not breaker.is_open
    assert not breaker.resume()
    assert len(writer.written) == 5
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


async def test_only_a_letter_that_was_held_back_says_so() -> None:
    """The reason is logged with its record, and tells an operator what to resume."""
    breaker = DeadLetterBreaker(DeadLetterLimits(1))
    handle = dead_lettering(FakeDeadLetterWriter(), breaker)
    free, held = delivery(), delivery()

    await handle(free)
    waiting = asyncio.ensure_future(handle(held))
    await until(lambda: breaker.is_open)
    breaker.resume()
    await waiting

    assert (free.postponed, held.postponed) == (None, "too_many_dead_letters")


def test_a_limit_of_0_never_stops_consumption() -> None:
    """The setting 0 turns the breaker off."""
    breaker = DeadLetterBreaker(DeadLetterLimits(0))
    assert all(breaker.admits("in") for _ in range(100))
    assert not breaker.is_open


async def test_a_topic_that_becomes_dead_letters_as_a_whole_stops_consumption(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """900 of 900 records in a minute are a bad deploy, far below any limit on their number."""
    seconds = [0.0]
    breaker = DeadLetterBreaker(stopwatch=lambda: seconds[0])
    writer = FakeDeadLetterWriter()
    handle = dead_lettering(writer, breaker)

    async def bad_deploy() -> None:
        for number in range(900):
            seconds[0] = number / 15
            await handle(delivery())

    consuming = asyncio.ensure_future(bad_deploy())
    await until(lambda: breaker.is_open or consuming.done())

    assert breaker.is_open
    assert len(writer.written) == 500
    assert vars(caplog.records[-1])["dead_letters"] == 500

    consuming.cancel()


@pytest.mark.parametrize(
    ("dead", "good", "opens"),
    [(499, 0, False), (500, 0, True), (500, 55, True), (500, 60, False), (5_000, 1_000, False)],
)
def test_few_dead_letters_or_a_small_share_do_not_stop_consumption(dead: int, good: int, opens: bool) -> None:
    """From 500 in a minute on, nine tenths of the topic's records are too many."""
    breaker = DeadLetterBreaker(stopwatch=lambda: 0.0)
    for _ in range(good):
        breaker.finished("in")
    for _ in range(10_000):
        breaker.finished("another topic")

    assert all(breaker.admits("in") for _ in range(dead))
    assert breaker.admits("in") is not opens
    assert breaker.is_open is opens


def test_the_share_is_that_of_the_last_minute() -> None:
    """What was good before the deploy does not excuse it for ever, and what was bad is forgotten."""
    seconds = [0.0]
    breaker = DeadLetterBreaker(DeadLetterLimits(share_floor=10), lambda: seconds[0])
    for _ in range(1_000):
        breaker.finished("in")
    assert all(breaker.admits("in") for _ in range(9))

    seconds[0] = 61.0
    assert all(breaker.admits("in") for _ in range(10))
    assert not breaker.admits("in")

    breaker.resume()
    assert breaker.admits("in")
