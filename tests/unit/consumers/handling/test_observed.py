"""Every record is counted and logged once."""

import logging

import pytest

from consumers.handling.observed import Observed
from consumers.handling.retrying import Backoff, Retrying
from consumers.outcomes import (
    Applied,
    Duplicate,
    Ignored,
    Late,
    NotNow,
    Outcome,
    Rejected,
    Unreachable,
)
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.deliveries import dispatch, request
from tests.fakes.gateway import FakeGateway
from tests.fakes.inbound import REQUESTED


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
    """A record counts once, when it is done; while it is open it does not count."""
    gateway = FakeGateway()
    gateway.answers.extend([NotNow(), outcome])
    metrics = FakeConsumerMetrics()
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
    """The line has place, outcome, duration and sign-in, but neither the address nor the token."""
    gateway = FakeGateway()
    gateway.answers.extend([Unreachable("UNAVAILABLE"), outcome])
    metrics = FakeConsumerMetrics()
    retrying = Retrying(lambda delivery: dispatch(delivery, gateway), metrics, Backoff(0, 0))

    with caplog.at_level(logging.DEBUG, logger="consumers"):
        await Observed(retrying, metrics)(request())

    (line,) = [record for record in caplog.records if record.name == "consumers.handling.observed"]
    fields = vars(line)

    assert (line.levelno, line.message) == (level, "record")
    assert (fields["topic"], fields["partition"], fields["offset"]) == (REQUESTED, 0, 0)
    assert (fields["tries"], fields["postponed"], fields["attempt"]) == (
        2,
        "unreachable",
        1,
    )
    assert fields["took_s"] >= 0 and len(fields["signin_id"]) == 22
    assert fields.get("error") == getattr(outcome, "error", None)
    assert "ada@" not in str(fields) and "0.abc" not in str(fields)
