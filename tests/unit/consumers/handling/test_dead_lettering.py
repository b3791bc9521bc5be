"""Dead letters."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from consumers.handling.dead_lettering import DeadLetterBreaker, DeadLettering
from consumers.intake import Delivery
from consumers.outcomes import Applied, Outcome, Rejected
from consumers.ports import Headers, Record
from tests.fakes.dead_letter_writer import FakeDeadLetterWriter, Written
from tests.fakes.naps import FakeNaps
from tests.fakes.waiting import until

NOW = datetime(2026, 11, 23, 9, 0, 0, 125_000, tzinfo=UTC)
REJECTED = Rejected("schema", "code: missing")
HEADERS: Headers = [("a", b"\xff"), ("b", None), ("a", b"2"), ("dlt-unknown", b"kept")]
RECORD = Record("otp.submitted", 3, 41, b"\x00key", b"\xff value", HEADERS, 1_700_000_000_123)
OWN = [
    ("dlt-topic", b"otp.submitted"),
    ("dlt-partition", b"3"),
    ("dlt-offset", b"41"),
    ("dlt-timestamp", b"1700000000123"),
    ("dlt-group", b"group"),
    ("dlt-error", b"schema"),
    ("dlt-reason", b"code: missing"),
    ("dlt-failed-at", b"2026-11-23T09:00:00.125000Z"),
    ("dlt-attempts", b"1"),
]


def delivery(record: Record = RECORD) -> Delivery:
    """Return a delivery that can't be read."""
    return Delivery(record, REJECTED, "offset/41")


async def reject(delivery: Delivery) -> Outcome:
    """Reject every record: a handler."""
    assert isinstance(delivery.content, Rejected)
    return delivery.content


def lettering(
    writer: FakeDeadLetterWriter, rate: DeadLetterBreaker | None = None, naps: FakeNaps | None = None
) -> DeadLettering:
    """Return the handler under test."""
    sleep = (naps or FakeNaps(instant=True)).sleep
    return DeadLettering(reject, writer, rate or DeadLetterBreaker(), "group", clock=lambda: NOW, sleep=sleep)


async def test_key_value_and_headers_are_kept_byte_for_byte() -> None:
    """The headers in order, with repeats; then where it came from and why."""
    writer = FakeDeadLetterWriter()
    assert await lettering(writer)(delivery()) == REJECTED
    assert writer.written == [Written("otp.submitted.dlt", b"\x00key", b"\xff value", [*HEADERS, *OWN])]


async def test_a_tombstone_stays_one() -> None:
    """Key and value may be missing."""
    writer = FakeDeadLetterWriter()
    await lettering(writer)(delivery(replace(RECORD, key=None, value=None)))
    assert (writer.written[0].key, writer.written[0].value) == (None, None)


async def test_other_outcomes_write_nothing() -> None:
    """They pass through."""
    writer = FakeDeadLetterWriter()

    async def apply(_: Delivery) -> Outcome:
        return Applied()

    assert await DeadLettering(apply, writer, DeadLetterBreaker(), "group")(delivery()) == Applied()
    assert not writer.written


async def test_the_outcome_waits_for_kafkas_acknowledgement() -> None:
    """However often it takes; the offset stays open meanwhile."""
    writer, naps = FakeDeadLetterWriter(), FakeNaps(instant=True)
    writer.failures = 30
    assert await lettering(writer, naps=naps)(delivery()) == REJECTED
    assert len(naps.taken) == 30
    assert max(naps.taken) <= 10
    assert len(writer.written) == 1


async def test_too_many_in_a_minute_stop_consumption_until_resumed(caplog: pytest.LogCaptureFixture) -> None:
    """One above the limit opens the breaker and is not written; resuming counts anew."""
    writer, seconds = FakeDeadLetterWriter(), [0.0]
    rate = DeadLetterBreaker(2, lambda: seconds[0])
    handle = lettering(writer, rate)
    await handle(delivery())
    seconds[0] = 59.9
    await handle(delivery())
    seconds[0] = 60.0
    await handle(delivery())

    assert not rate.is_open

    waiting = [asyncio.ensure_future(handle(delivery())) for _ in range(2)]
    await until(lambda: rate.is_open)

    assert len(writer.written) == 3
    assert rate.resume()

    await asyncio.gather(*waiting)

    assert not rate.is_open
    assert not rate.resume()
    assert len(writer.written) == 5
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


async def test_no_limit_never_stops() -> None:
    """0 turns it off."""
    rate = DeadLetterBreaker(0)
    for _ in range(100):
        await rate.admit()
    assert not rate.is_open
