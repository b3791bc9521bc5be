"""Decoding records into events."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.decode import (
    MAX_VALUE_BYTES,
    Content,
    ReceivedRequest,
    ReceivedSubmission,
    decode_request,
    decode_submission,
)
from consumers.outcomes import Rejected
from consumers.ports import Headers, Record
from tests.fakes.inbound import REQUESTED, SUBMITTED, record, request_data, submission_data

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STRUCTURED: Headers = [("Content-Type", b"Application/CloudEvents+JSON; charset=utf-8")]


def decode(data: Any, headers: Headers = (), topic: str = REQUESTED) -> Content:
    """Decode at ``NOW``."""
    decode_record = decode_submission if topic == SUBMITTED else decode_request
    return decode_record(record(topic, data, headers=headers), NOW)


def stamped(milliseconds: int, by_broker: bool, headers: Headers = (), own: datetime = NOW) -> ReceivedRequest:
    """Decode a request with this timestamp of the record."""
    value = json.dumps(request_data(requested_at=own.isoformat())).encode()
    content = decode_request(Record(REQUESTED, 0, 0, None, value, headers, milliseconds, by_broker), NOW)
    assert isinstance(content, ReceivedRequest)
    return content


def milliseconds(instant: datetime) -> int:
    """Return Kafka's form of an instant."""
    return int(instant.timestamp() * 1000)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "value: tombstone"),
        (b"", "value: empty"),
        (b"   ", "value: not_json at line 1 column 3"),
        (b"NaN", "value: not_json at line 1 column 1"),
        (b'{"a": NaN}', "value: not_json at line 1 column 7"),
        (b"\xef\xbb\xbf{}", "value: not_json at line 1 column 1"),
        (b"[" * 50_000, None),
        (b'{"unknown": %s}' % (b"1" * 4_301), None),
        (b'{"a": "\xff\xfe"}', None),
        (b'{"email": "secret@example.com"', None),
    ],
)
def test_a_value_that_is_not_json_is_rejected(value: bytes | None, reason: str | None) -> None:
    """The reason gives the position of the error and quotes nothing of the value."""
    content = decode(value)
    assert isinstance(content, Rejected)
    assert content.error == "not_json"
    assert reason is None or content.reason == reason
    assert "secret" not in content.reason


def test_values_above_64_kib_are_not_parsed() -> None:
    """One byte more is too large, whatever the value is."""
    assert decode(b"\xff" * (MAX_VALUE_BYTES + 1)) == Rejected("too_large", "value: more than 65536 bytes")
    padded = json.dumps(request_data()).encode().ljust(MAX_VALUE_BYTES)
    assert isinstance(decode(padded), ReceivedRequest)


@pytest.mark.parametrize("value", [b"[]", b"1", b'"x"', b"null", b"true"])
def test_json_that_is_not_an_object_breaks_the_schema(value: bytes) -> None:
    """Both an event and an envelope must be objects."""
    assert decode(value) == Rejected("schema", "value: not_an_object")
    assert decode(value, STRUCTURED) == Rejected("schema", "envelope: not_an_object")


def test_reasons_name_only_fields_and_rules() -> None:
    """A reason names at most three errors and never quotes a value, even if a validator's message does."""
    content = decode(request_data(signin_id="secret", attempt="secret", requested_at="secret", email=""))
    assert content == Rejected(
        "schema", "signin_id: string_pattern_mismatch; attempt: int_type; email: string_too_short"
    )
    assert decode(request_data(client={"ip": 7})) == Rejected("schema", "client.ip: string_type")


@pytest.mark.parametrize(
    ("at", "rule"),
    [
        ("2026-11-23T09:00:00", "not_rfc3339"),
        (1795424400, "string_type"),
        (None, "string_type"),
        ("0001-01-01T00:00:00+14:00", "outside_years_1_to_9999"),
        ("2026-02-30T09:00:00Z", "datetime_from_date_parsing"),
    ],
)
def test_an_invalid_time_is_rejected_with_the_rule_it_breaks(at: Any, rule: str) -> None:
    """The rule tells the reader of the dead letter what a time must look like."""
    assert decode(request_data(requested_at=at)) == Rejected("schema", f"requested_at: {rule}")


def test_the_last_value_of_a_repeated_key_counts() -> None:
    """Most JSON parsers do the same."""
    content = decode(b'{"attempt": 99, ' + json.dumps(request_data(attempt=2)).encode()[1:])
    assert isinstance(content, ReceivedRequest)
    assert content.event.attempt == 2


def test_an_invalid_address_is_rejected_only_in_a_submission() -> None:
    """In a request it is a typing error and gets a result. In a submission it breaks the schema."""
    assert isinstance(decode(request_data(email="not an address")), ReceivedRequest)
    content = decode(submission_data(email="not an address"), topic=SUBMITTED)
    assert content == Rejected("schema", "email: not_an_address")


def test_a_submission_has_its_parsed_address() -> None:
    """The address is case-folded for the account."""
    content = decode(submission_data(), topic=SUBMITTED)
    assert isinstance(content, ReceivedSubmission)
    assert content.address.account == "ada@example.com"
    assert content.event.code == "1234 5678"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        [("ce_type", b"anything"), ("ce_id", b"1"), ("content-type", b"application/json")],
        [("content-type", None), ("odd", None)],
    ],
)
def test_plain_json_and_binary_mode_are_decoded_alike(headers: Headers) -> None:
    """The value is the data. ``ce_type`` is not checked."""
    assert isinstance(decode(request_data(), headers), ReceivedRequest)


def test_structured_mode_has_the_data_in_an_envelope() -> None:
    """The data is JSON or base64-encoded JSON."""
    encoded = base64.b64encode(json.dumps(request_data()).encode()).decode()
    for envelope in ({"data": request_data()}, {"data_base64": encoded}, {"data": None, "data_base64": encoded}):
        assert isinstance(decode({"specversion": "1.0", **envelope}, STRUCTURED), ReceivedRequest)


@pytest.mark.parametrize(
    ("envelope", "rejected"),
    [
        ({}, Rejected("schema", "data: missing")),
        ({"data": "text"}, Rejected("schema", "value: not_an_object")),
        ({"data_base64": 7}, Rejected("schema", "data_base64: not_base64")),
        ({"data_base64": "e30"}, Rejected("schema", "data_base64: not_base64")),
        ({"data_base64": "é"}, Rejected("schema", "data_base64: not_base64")),
        ({"data_base64": ""}, Rejected("not_json", "data_base64: empty")),
        ({"data_base64": "eA=="}, Rejected("not_json", "data_base64: not_json at line 1 column 1")),
    ],
)
def test_an_invalid_envelope_is_rejected(envelope: dict[str, Any], rejected: Rejected) -> None:
    """The reason says what is wrong with it."""
    assert decode(envelope, STRUCTURED) == rejected


def test_the_traceparent_is_read_from_any_of_its_places() -> None:
    """It may be a header, a CloudEvents header, or an attribute of the envelope."""
    for headers in ([("traceparent", PARENT.encode())], [("ce_traceparent", PARENT.encode())]):
        content = decode(request_data(), headers)
        assert isinstance(content, ReceivedRequest)
        assert content.traceparent == PARENT

    content = decode({"data": request_data(), "traceparent": PARENT}, STRUCTURED)
    assert isinstance(content, ReceivedRequest)
    assert content.traceparent == PARENT


@pytest.mark.parametrize(
    "text",
    [
        PARENT.upper(),
        PARENT + "-x",
        "ff" + PARENT[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        "\udcff",
        "",
    ],
)
def test_an_invalid_traceparent_is_ignored(text: str) -> None:
    """It is no reason to reject an event."""
    content = decode(request_data(), [("traceparent", text.encode(errors="surrogateescape"))])
    assert isinstance(content, ReceivedRequest)
    assert content.traceparent is None
    assert not isinstance(decode({"data": request_data(), "traceparent": 7}, STRUCTURED), Rejected)


def test_the_age_counts_from_the_brokers_timestamp() -> None:
    """The emitter's time counts only if the broker set no timestamp."""
    broker = NOW - timedelta(seconds=5)
    own = NOW - timedelta(hours=1)

    assert stamped(milliseconds(broker), True, own=own).born_at == broker
    assert stamped(milliseconds(broker), False, own=own).born_at == own
    assert stamped(-1, True, own=own).born_at == own
    assert stamped(10**15, True, own=own).born_at == own


def test_a_replayed_dead_letter_keeps_its_age() -> None:
    """The earliest timestamp counts. A header that is not a number is ignored."""
    first = NOW - timedelta(hours=2)
    back: Headers = [
        ("dlt-timestamp", b"no number"),
        ("dlt-timestamp", None),
        ("dlt-timestamp", str(milliseconds(first)).encode()),
    ]

    assert stamped(milliseconds(NOW), True, back).born_at == first
    assert stamped(milliseconds(NOW), False, back).born_at == first
    assert stamped(milliseconds(NOW), True, [("dlt-timestamp", b"-5")]).born_at == NOW


def test_a_timestamp_in_the_future_counts_as_now() -> None:
    """The event is marked, so that it can be counted."""
    content = stamped(milliseconds(NOW + timedelta(days=1)), True)
    assert content.born_at == NOW
    assert content.from_future
    assert not stamped(milliseconds(NOW), True).from_future


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*request_data(), *submission_data()]), inner),
)


@given(
    st.binary() | JSON.map(lambda value: json.dumps(value).encode()),
    st.lists(st.tuples(st.sampled_from(["content-type", "dlt-timestamp", "traceparent"]), st.none() | st.binary())),
    st.sampled_from([REQUESTED, SUBMITTED]),
    st.booleans(),
)
def test_decoding_is_total(value: bytes, headers: list[tuple[str, bytes | None]], topic: str, structured: bool) -> None:
    """Any bytes give an event or a rejection with a short reason."""
    content = decode(value, [*headers, *(STRUCTURED if structured else [])], topic)
    assert not isinstance(content, Rejected) or 0 < len(content.reason) <= 200
