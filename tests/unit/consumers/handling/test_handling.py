"""The handlers: dispatch, retries, counts."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from activities.pseudonyms import Pseudonyms
from consumers.handling.dispatch import AgeLimits, Dispatcher
from consumers.handling.observed import Observed
from consumers.handling.retrying import Backoff, Retrying
from consumers.intake import Delivery, Intake
from consumers.outcomes import (
    Applied,
    Duplicate,
    Ignored,
    KeyBusy,
    Late,
    Misconfigured,
    NotNow,
    Outcome,
    Rejected,
    Throttled,
    Unreachable,
)
from consumers.ports import Record
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.gateway import FakeGateway
from tests.fakes.inbound import REQUESTED, SUBMITTED, record, request_record, submission_record
from tests.fakes.naps import FakeNaps

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def receive(record: Record, metrics: FakeConsumerMetrics | None = None) -> Delivery:
    """Take a record in, as of ``NOW``."""
    intake = Intake(REQUESTED, SUBMITTED, Pseudonyms(bytes(32)), metrics or FakeConsumerMetrics(), lambda: NOW)
    return intake.receive(record)


def request(age_s: float = 0) -> Delivery:
    """Return a request of that age."""
    return receive(request_record(requested_at=(NOW - timedelta(seconds=age_s)).isoformat()))


def submission(age_s: float = 0) -> Delivery:
    """Return a submission of that age."""
    return receive(submission_record(submitted_at=(NOW - timedelta(seconds=age_s)).isoformat()))


async def dispatch(delivery: Delivery, gateway: FakeGateway) -> Outcome:
    """Dispatch as of ``NOW``: events may be 300 s old, codes live 300 s, Temporal remembers 3,600 s."""
    return await Dispatcher(gateway, AgeLimits(300, 300, 3600), lambda: NOW)(delivery)


def test_lanes_follow_the_payload() -> None:
    """Requests per sign-in; submissions per mailbox, whatever the tag; what can't be read delays no one."""
    again = receive(replace(request_record(), offset=7))
    assert request().lane == again.lane != receive(request_record(1)).lane
    tagged = receive(submission_record(1, email="ADA+x@example.com"))
    assert submission().lane == tagged.lane != receive(submission_record(email="bob@example.com")).lane
    assert receive(record(REQUESTED, b"")).lane == "offset/0"
    assert "ada" not in tagged.lane


def test_an_event_from_the_future_is_counted() -> None:
    """By topic."""
    metrics = FakeConsumerMetrics()
    receive(request_record(requested_at=(NOW + timedelta(seconds=1)).isoformat()), metrics)
    receive(request_record(requested_at=NOW.isoformat()), metrics)
    assert metrics.future == {REQUESTED: 1}


async def test_events_go_to_the_gateway() -> None:
    """Each to its own call; a rejection to none."""
    gateway = FakeGateway()
    assert await dispatch(request(), gateway) == Applied()
    assert await dispatch(submission(), gateway) == Applied()
    assert isinstance(await dispatch(receive(record(REQUESTED, b"")), gateway), Rejected)
    assert (len(gateway.requests), len(gateway.submissions)) == (1, 1)


@pytest.mark.parametrize(
    ("delivery", "outcome"),
    [
        (request(300.1), Applied()),
        (request(3600), Applied()),
        (request(3600.1), Ignored()),
        (submission(600), Applied()),
        (submission(600.1), Late()),
        (submission(3600), Late()),
        (submission(3600.1), Ignored()),
    ],
)
async def test_what_age_does(delivery: Delivery, outcome: Outcome) -> None:
    """Old requests are for their workflow to call stale; beyond the horizon nothing has a result."""
    gateway = FakeGateway()
    assert await dispatch(delivery, gateway) == outcome
    assert gateway.calls == (outcome == Applied())


async def test_not_now_is_tried_again_until_there_is_an_outcome() -> None:
    """Waits double up to the longest, jittered; throttling waits a second at least."""
    naps, metrics, gateway = FakeNaps(instant=True), FakeConsumerMetrics(), FakeGateway()
    gateway.answers.extend([KeyBusy(), Throttled(), Unreachable(), Misconfigured(), KeyBusy(), None])
    draws = iter([1.0, 1.0, 0.0, 1.0, 1.0])
    backoff = Backoff(0.1, 0.5, lambda: next(draws, 1.0))
    handle = Retrying(lambda delivery: dispatch(delivery, gateway), metrics, backoff, naps.sleep)

    assert await handle(request()) == Applied()
    assert naps.taken == [0.1, 1.0, 0.2, 0.5, 0.5]
    assert metrics.postponed == {"key_busy": 2, "throttled": 1, "unreachable": 1, "misconfigured": 1}


async def test_a_record_that_takes_long_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """With its place and the reason, not with what it holds."""
    gateway = FakeGateway()
    gateway.answers.extend([KeyBusy() for _ in range(20)])
    handle = Retrying(
        lambda delivery: dispatch(delivery, gateway), FakeConsumerMetrics(), sleep=FakeNaps(instant=True).sleep
    )
    await handle(request())
    [logged] = caplog.records

    assert logged.__dict__["offset"] == 0
    assert logged.__dict__["reason"] == "key_busy"


async def test_patience_ends_with_a_cancellation() -> None:
    """As a rebalance does it."""
    gateway = FakeGateway()
    gateway.down = Unreachable
    handle = Retrying(lambda delivery: dispatch(delivery, gateway), FakeConsumerMetrics())
    trying = asyncio.ensure_future(handle(request()))
    await asyncio.sleep(0)
    trying.cancel()

    with pytest.raises(asyncio.CancelledError):
        await trying


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (Applied(), "applied"),
        (Duplicate(), "duplicate"),
        (Late(), "late"),
        (Ignored(), "ignored"),
        (Rejected("schema", "x: y"), "dead_lettered"),
    ],
)
async def test_each_outcome_is_counted_under_its_name(outcome: Outcome, name: str) -> None:
    """Once, when the record is done; one that is not done does not count."""
    metrics, gateway = FakeConsumerMetrics(), FakeGateway()
    gateway.answers.extend([NotNow(), outcome])
    handle = Observed(lambda delivery: dispatch(delivery, gateway), metrics)
    with pytest.raises(NotNow):
        await handle(request())
    assert await handle(request()) == outcome
    assert metrics.done == {(REQUESTED, name): 1}


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (Applied(), logging.INFO),
        (Duplicate(), logging.INFO),
        (Late(), logging.DEBUG),
        (Ignored(), logging.DEBUG),
        (Rejected("refused", "temporal: INVALID_ARGUMENT"), logging.WARNING),
    ],
)
async def test_each_record_is_one_line_of_the_log(
    outcome: Outcome, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it was, what became of it, how long it took, whose sign-in; nothing of the address or the token."""
    metrics, gateway = FakeConsumerMetrics(), FakeGateway()
    gateway.answers.extend([Unreachable("UNAVAILABLE"), outcome])
    retrying = Retrying(lambda delivery: dispatch(delivery, gateway), metrics, Backoff(0, 0))
    with caplog.at_level(logging.DEBUG, logger="consumers"):
        await Observed(retrying, metrics)(request())

    (line,) = [record for record in caplog.records if record.name == "consumers.handling.observed"]
    told = vars(line)

    assert (line.levelno, line.message) == (level, "record")
    assert (told["topic"], told["partition"], told["offset"]) == (REQUESTED, 0, 0)
    assert (told["tries"], told["postponed"], told["attempt"]) == (2, "unreachable", 1)
    assert told["took_s"] >= 0 and len(told["signin_id"]) == 22
    assert told.get("error") == getattr(outcome, "error", None)
    assert "ada@" not in str(told) and "0.abc" not in str(told)
