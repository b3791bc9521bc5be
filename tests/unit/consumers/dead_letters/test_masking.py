"""What may be seen of a dead letter."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.dead_letters.letters import dead_letter
from consumers.dead_letters.masking import (
    masked_headers,
    masked_key,
    masked_letter,
    masked_value,
)
from consumers.decode import MAX_VALUE_BYTES
from consumers.ports import Record
from schemas.topics import dead_letter_topic
from tests.fakes.dead_letters import letter_record
from tests.fakes.inbound import SUBMITTED, request_data, signin_id, submission_data

CODE = "90417263"
SPACED = "9041 7263"
ADDRESS = "ada.lovelace+x@example.com"
TOKEN = "0.Zq3xYw_tok-en"
SECRETS = (CODE, SPACED, ADDRESS, "lovelace", TOKEN, "Zq3xYw")


def shown_of(value: bytes | None) -> dict[str, Any]:
    """Return what is shown of a value."""
    return masked_value(Record("otp.submitted.dlt", 0, 0, None, value))


def as_value(data: object) -> bytes:
    """Return JSON."""
    return json.dumps(data, ensure_ascii=False).encode()


def test_a_submission_shows_ids_and_times_but_neither_code_nor_address() -> None:
    """Masked text keeps its form, which says why it could not be read."""
    data = submission_data(1, code=SPACED, email=ADDRESS, submitted_at="2026-11-23T09:00:41Z")
    assert shown_of(as_value(data))["json"] == {
        "submission_id": f"{1:016d}",
        "signin_id": signin_id(1),
        "email": "***.********+*@*******.***",
        "code": "#### ####",
        "submitted_at": "2026-11-23T09:00:41Z",
    }


def test_a_request_shows_no_token_and_nothing_of_the_client() -> None:
    """A client may have put anything into its user agent."""
    client = {
        "ip": "203.0.113.7",
        "user_agent": f"Mozilla {ADDRESS}",
        "locale": "de",
        "trusted_device": True,
    }
    data = request_data(1, email=ADDRESS, turnstile_token=TOKEN, client=client, attempt=2)
    shown = shown_of(as_value(data))["json"]
    assert shown["client"]["trusted_device"] is True
    assert shown["attempt"] == 2
    assert not [secret for secret in (*SECRETS, "203", "Mozilla") if secret in json.dumps(shown)]


@pytest.mark.parametrize(
    "data",
    [
        {"otp": CODE, "e_mail": ADDRESS, "captcha": TOKEN},
        {"code": int(CODE), "email": [ADDRESS, {"deep": [[CODE]]}]},
        {ADDRESS: CODE, CODE: ADDRESS, "x" + CODE: None},
        {
            "attempt": int(CODE),
            "signin_id": ADDRESS,
            "submission_id": CODE,
            "requested_at": CODE,
            "type": ADDRESS,
        },
        {
            "attempt": CODE,
            "signin_id": TOKEN,
            "time": ADDRESS,
            "specversion": CODE,
            "traceparent": CODE,
        },
        [CODE, ADDRESS, TOKEN, float(CODE)],
        ADDRESS,
        int(CODE),
        f"code {CODE} for {ADDRESS}",
        {"data": {"code": CODE, "email": ADDRESS}, "type": "otp.submitted"},
    ],
)
def test_secrets_under_any_name_and_of_any_type_are_masked(data: object) -> None:
    """A dead letter does not have the agreed form, so names of fields mean nothing."""
    assert not [secret for secret in SECRETS if secret in json.dumps(shown_of(as_value(data)))]


def test_half_of_a_surrogate_pair_is_shown_as_a_sign() -> None:
    """The rest of the value is shown as JSON, as it was decoded."""
    assert shown_of(b'{"email": "\\ud83d", "attempt": 99}')["json"] == {"email": "?", "attempt": 99}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (f'{{"code": "{CODE}"'.encode(), '{"code": "########"'),
        (
            f"{{'email': '{ADDRESS}'}}".encode(),
            "{'*****': '***.********+*@*******.***'}",
        ),
        (
            f"email={ADDRESS}&code={CODE}".encode(),
            "*****=***.********+*@*******.***&****=########",
        ),
        (
            f'{{"email": "{ADDRESS}", "code": {CODE},}}'.encode(),
            '{"email": "***.********+*@*******.***", "code": ########,}',
        ),
        ("ада@пример.рф 🔑\x00\x1b[31m".encode(), "***@******.** ???[##*"),
        (b"\xef\xbb\xbf{}", "?{}"),
    ],
)
def test_text_that_is_not_json_is_shown_as_its_shape(value: bytes, shown: str) -> None:
    """Quotes, brackets and names of members stay; letters and digits of values do not."""
    assert shown_of(value) == {"bytes": len(value), "shape": shown}


@pytest.mark.parametrize(
    "value",
    [
        f'{{"code": "{CODE}"}}'.encode("utf-16"),
        CODE.encode() + b"\xff",
        b"\x1f\x8b" + CODE.encode(),
    ],
)
def test_bytes_that_are_not_text_are_not_shown(value: bytes) -> None:
    """In a binary format they may be a code as they are."""
    shown = shown_of(value)
    assert set(shown) == {"bytes", "note"}
    assert shown["note"].startswith("not UTF-8 from byte ")
    assert CODE not in shown["note"]


def test_a_tombstone_and_an_empty_value_differ() -> None:
    """A tombstone has no value; an empty value has no bytes."""
    assert shown_of(None) == {"bytes": None, "note": "tombstone: no value at all"}
    assert shown_of(b"") == {"bytes": 0, "shape": ""}


def test_a_large_value_is_cut_and_not_parsed() -> None:
    """Its beginning and its length are shown."""
    value = as_value({"code": CODE * MAX_VALUE_BYTES})
    shown = shown_of(value)
    assert shown["shape"].startswith('{"code": "####')
    assert shown["shape"].endswith(f"… ({len(value)} characters)")
    assert len(shown["shape"]) < 2_100


def test_long_texts_are_cut() -> None:
    """So a token of thousands of characters takes one line."""
    assert shown_of(as_value({"a": "x" * 5_000}))["json"]["a"] == "*" * 200 + "… (5000 characters)"


def test_a_key_is_shown_if_it_may_be_a_sign_ins_id() -> None:
    """Any other key is masked, since an emitter may use the address as key."""
    assert masked_key(signin_id(1).encode()) == signin_id(1)
    assert masked_key(ADDRESS.encode()) == "***.********+*@*******.***"
    assert masked_key(b"\xff1") == "?#"
    assert masked_key(None) is None


def test_known_headers_are_shown_if_their_value_has_the_right_form() -> None:
    """Those are the letter's own, and those that route and trace.

    Any other value is shown as its shape.
    """
    parent = b"00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01"
    headers = [
        ("content-type", b"application/json; charset=utf-8"),
        ("traceparent", parent),
        ("dlt-reason", b"code: missing; email: string_type"),
        ("dlt-attempts", b"2"),
        ("ce_subject", ADDRESS.encode()),
        ("ce_subject", None),
        (ADDRESS, b""),
        ("dlt-topic", ADDRESS.encode()),
        ("ce_type", b"\xff"),
        ("a\nb 1", b"x\ty"),
    ]

    assert masked_headers(headers) == [
        ("content-type", "application/json; charset=utf-8"),
        ("traceparent", parent.decode()),
        ("dlt-reason", "code: missing; email: string_type"),
        ("dlt-attempts", "2"),
        ("ce_subject", "***.********+*@*******.***"),
        ("ce_subject", None),
        ("***.********+*@*******.***", ""),
        ("dlt-topic", "***.********+*@*******.***"),
        ("ce_type", "?"),
        ("* * #", "*\t*"),
    ]


@pytest.mark.parametrize(
    "reason",
    [
        "value: tombstone",
        "value: more than 65536 bytes",
        "value: not_json at line 1 column 65536",
        "client.trusted_device: bool_type; signin_id: string_pattern_mismatch",
        "temporal: INVALID_ARGUMENT",
    ],
)
def test_our_own_reasons_are_shown(reason: str) -> None:
    """They name fields and rules only."""
    assert masked_headers([("dlt-reason", reason.encode())]) == [("dlt-reason", reason)]


@pytest.mark.parametrize(
    "reason",
    [f"code {CODE}", f"code: {SPACED}", "9-0-4-1-7-2", ADDRESS, "a\x1b[31m", "a\nb"],
)
def test_a_reason_written_by_somebody_else_is_masked(reason: str) -> None:
    """It may hold anything, so a reason is shown only in the form of ours."""
    letter = dead_letter(
        Record(
            dead_letter_topic(SUBMITTED),
            0,
            0,
            None,
            None,
            [("dlt-reason", reason.encode())],
        )
    )
    assert not [secret for secret in (*SECRETS, "9-0-4", "\x1b") if secret in str(masked_letter(letter)["reason"])]


def test_a_letter_is_summed_up_in_eight_members() -> None:
    """They say where it lies, where it came from, what was wrong, how often, and whose it is."""
    letter = dead_letter(letter_record(7, times=2, partition=3))

    assert masked_letter(letter) == {
        "place": "otp.submitted.dlt/0/0",
        "origin": "otp.submitted/3/7",
        "error": "schema",
        "reason": "code: missing",
        "failed_at": "2026-11-23T09:00:00Z",
        "attempts": 2,
        "signin_id": signin_id(7),
        "key": signin_id(7),
    }


def test_a_record_without_provenance_is_summed_up_too() -> None:
    """Its place is known, and its other members are empty."""
    members = masked_letter(dead_letter(Record("otp.submitted.dlt", 1, 2, None, None, (), 0)))
    assert [members[name] for name in ("place", "origin", "error", "key")] == [
        "otp.submitted.dlt/1/2",
        None,
        "",
        None,
    ]


def texts() -> st.SearchStrategy[str]:
    """Return texts with a code or an address somewhere.

    The bar prevents them from having the form of an id.
    """
    around = st.text(string.printable + "äß٣🔑\x00\x1b", max_size=20)
    return st.builds(
        lambda a, secret, b: f"{a}|{secret}{b}",
        around,
        st.sampled_from([CODE, SPACED, ADDRESS]),
        around,
    )


JSON = st.recursive(
    st.none() | st.booleans() | texts() | st.just(int(CODE)) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["code", "email", "signin_id", "attempt", "type", "data"]) | texts(),
            inner,
        )
    ),
    max_leaves=8,
)


@given(JSON, st.integers(0, 3), st.sampled_from(["utf-8", "utf-16", "latin-1"]))
def test_no_value_reveals_a_code_or_an_address(data: object, cut: int, encoding: str) -> None:
    """It may be whole or cut off, in any encoding, with any names."""
    value = json.dumps(data, ensure_ascii=False).encode(encoding, errors="replace")
    shown = json.dumps(shown_of(value[: len(value) - cut]), ensure_ascii=False)
    assert not [secret for secret in (CODE, SPACED, ADDRESS, "lovelace", "example.com") if secret in shown]
