"""The shapes on the wire (CONTRACT), against golden files."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.inbound import OtpSubmitted, SignInRequested
from schemas.results import ResultEvent

GOLDEN = Path(__file__).parents[2] / "golden" / "results"
SIGNIN = "rJ3hQ0m1TzC9vWcK8uYbXw"
REQUEST = {"signin_id": SIGNIN, "email": "ada@example.com", "requested_at": "2026-11-23T09:00:00Z"}
SUBMISSION = {
    "submission_id": "0a6e3d5e-6f0e-4c39-9a53-6a5f1c2f9d10",
    "signin_id": SIGNIN,
    "email": "ada@example.com",
    "code": "1234 5678",
    "submitted_at": "2026-11-23T09:00:41Z",
}
GOLDEN_FILES = sorted(GOLDEN.glob("*.json"))


def test_every_result_type_has_a_golden_file() -> None:
    """There are seven types."""
    assert len({json.loads(path.read_text())["event"]["result"]["type"] for path in GOLDEN_FILES}) == 7


@pytest.mark.parametrize("path", GOLDEN_FILES, ids=lambda path: path.stem)
def test_a_result_becomes_the_record_of_its_golden_file(path: Path) -> None:
    """Key, value (byte for byte) and headers, in order, are those of the file."""
    golden = json.loads(path.read_text())
    event = ResultEvent.model_validate(golden["event"])

    assert event.key() == SIGNIN.encode()
    assert event.value().decode() == golden["value"]
    assert [[name, text.decode()] for name, text in event.headers()] == golden["headers"]


def test_event_ids_tell_results_apart() -> None:
    """They depend on type, sign-in, attempt, account and submission, but not on the time, so repeats are recognised."""
    events = [ResultEvent.model_validate(json.loads(path.read_text())["event"]) for path in GOLDEN_FILES]
    assert len({event.event_id for event in events}) == len(events)

    first = events[0].result
    later = first.model_copy(update={"occurred_at": first.occurred_at + timedelta(seconds=1)})
    assert ResultEvent(result=later).event_id == events[0].event_id


def test_a_minimal_request_gets_the_defaults() -> None:
    """They are attempt 1, an unknown client and no token. Null counts as missing; unknown fields are ignored."""
    request = SignInRequested.model_validate(REQUEST | {"client": None, "turnstile_token": None, "more": 1})
    trust = SignInRequested.model_validate(REQUEST | {"client": {"trusted_device": None}})

    assert (request.attempt, request.client.trusted_device, request.turnstile_token) == (1, False, None)
    assert request.requested_at == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert trust.client.trusted_device is False


@pytest.mark.parametrize(
    "at", ["2016-12-31T23:59:60Z", "2016-12-31t23:59:60.75z", "2017-01-01 05:29:60+05:30", "2016-12-31T15:59:60-08:00"]
)
def test_a_leap_second_is_accepted(at: str) -> None:
    """RFC 3339 allows it, but datetime does not: it is read as the second before."""
    requested_at = SignInRequested.model_validate(REQUEST | {"requested_at": at}).requested_at
    assert requested_at.replace(microsecond=0) == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_an_integer_may_have_a_fraction_of_zero() -> None:
    """For JSON Schema, and in JavaScript, 2.0 is an integer."""
    attempt = SignInRequested.model_validate(REQUEST | {"attempt": 2.0}).attempt
    assert (attempt, type(attempt)) == (2, int)


def test_long_client_texts_are_cut() -> None:
    """Characters after the 512th are dropped."""
    client = SignInRequested.model_validate(REQUEST | {"client": {"user_agent": "x" * 600}}).client
    assert client.user_agent == "x" * 512


@pytest.mark.parametrize(
    "change",
    [
        {"signin_id": "short"},
        {"signin_id": SIGNIN + "\n"},
        {"signin_id": "a" * 65},
        {"attempt": 0},
        {"attempt": 21},
        {"attempt": "1"},
        {"attempt": True},
        {"attempt": 1.5},
        {"attempt": 1e300},
        {"email": ""},
        {"email": "a" * 321},
        {"email": None},
        {"requested_at": "2026-11-23T09:00:00"},
        {"requested_at": 1795424400},
        {"requested_at": "2026-11-23"},
        {"requested_at": "2026-13-23T09:00:00Z"},
        {"requested_at": None},
        {"requested_at": "2026-11-23T09:60:00Z"},
        {"requested_at": "2026-11-23T09:00:61Z"},
        {"requested_at": "0001-01-01T00:00:00+14:00"},
        {"client": []},
        {"client": {"trusted_device": "yes"}},
        {"client": {"ip": 5}},
        {"turnstile_token": 5},
    ],
)
def test_an_invalid_request_is_rejected(change: dict[str, Any]) -> None:
    """Values are not converted to the right type."""
    with pytest.raises(ValidationError):
        SignInRequested.model_validate(REQUEST | change)


@pytest.mark.parametrize("change", [{"code": ""}, {"code": "1" * 65}, {"submission_id": "short"}, {"code": 12345678}])
def test_an_invalid_submission_is_rejected(change: dict[str, Any]) -> None:
    """The error does not contain the code."""
    with pytest.raises(ValidationError) as caught:
        OtpSubmitted.model_validate(SUBMISSION | change)

    assert "12345678" not in str(caught.value)


def test_the_repr_hides_the_code() -> None:
    """A submission that is logged by mistake does not reveal its code."""
    shown = repr(OtpSubmitted.model_validate(SUBMISSION))
    assert "1234" not in shown.replace(SUBMISSION["signin_id"], "")


def test_a_naive_datetime_is_rejected() -> None:
    """A datetime without an offset is a bug inside the program."""
    with pytest.raises(ValidationError):
        SignInRequested.model_validate(REQUEST | {"requested_at": datetime(2026, 1, 1)})
