"""Texts with half of a surrogate pair, which JavaScript and Python write into JSON as an escape."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.addresses import parse_address
from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.outcomes import Rejected
from tests.fakes.inbound import SUBMITTED, request_data, submission_data
from tests.unit.consumers.test_decode import STRUCTURED, decode

LONE = "\ud83d"
ANY_TEXT = st.text(st.characters() | st.sampled_from(["\ud83d", "\ude00", "\\"]), min_size=1, max_size=64)


@pytest.mark.parametrize(
    "members",
    [
        {"email": f"ada{LONE}@example.com"},
        {"email": "ada\udfff@example.com"},
        {"turnstile_token": LONE},
        {"client": {"user_agent": LONE * 2 + "\N{GRINNING FACE}"}},
        {"unknown": [LONE]},
        {LONE: {LONE: 1}},
    ],
)
def test_half_of_a_surrogate_pair_is_no_reason_to_reject_an_event(members: dict[str, Any]) -> None:
    """It counts as a character that no address has."""
    data = request_data(**members)
    encoded = base64.b64encode(json.dumps(data).encode()).decode()

    for content in (
        decode(data),
        decode({"data": data}, STRUCTURED),
        decode({"data": request_data(), LONE: LONE}, STRUCTURED),
        decode({"data_base64": encoded}, STRUCTURED),
    ):
        assert isinstance(content, ReceivedRequest)

    address = decode(request_data(email=f"ada{LONE}@example.com"))
    assert isinstance(address, ReceivedRequest)
    assert parse_address(address.event.email) is None


def test_a_code_with_half_of_a_surrogate_pair_is_a_code() -> None:
    """It is a wrong one, which costs a try."""
    content = decode(submission_data(code=f"1234{LONE}"), topic=SUBMITTED)
    assert isinstance(content, ReceivedSubmission)
    assert content.event.code == "1234\uffff"


def test_only_lone_surrogates_are_replaced() -> None:
    """Pairs stay characters, and an escaped backslash stays one, whatever follows it."""
    agent = "\N{GRINNING FACE} \\ud83d \\\\ud83d \\" + LONE + '\N{GRINNING FACE}\n"'
    content = decode(request_data(client={"user_agent": agent}))

    assert isinstance(content, ReceivedRequest)
    assert content.event.client.user_agent == agent.replace(LONE, "\uffff")


def test_the_position_of_an_error_is_that_in_the_value() -> None:
    """It is not moved by the surrogates before it."""
    assert decode(b'["\\ud83d", NaN]') == Rejected("not_json", "value: not_json at line 1 column 12")


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_text_may_be_an_address_or_a_code(email: str, code: str, unknown: str) -> None:
    """Surrogates and backslashes included, escaped as JSON asks for."""
    request = decode(json.dumps(request_data(email=email) | {f"x-{unknown}": unknown}).encode())
    assert isinstance(request, ReceivedRequest)

    submission = decode(json.dumps(submission_data(code=code)).encode(), topic=SUBMITTED)
    assert isinstance(submission, ReceivedSubmission)
