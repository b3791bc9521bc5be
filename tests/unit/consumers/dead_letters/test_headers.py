"""The headers of dead letters are written and read."""

from datetime import UTC, datetime

import pytest

from consumers.dead_letters.headers import (
    Provenance,
    dead_letter_headers,
    provenance_of,
)
from consumers.outcomes import Rejected
from consumers.ports import Headers, Record
from tests.fakes.dead_letters import OWN_HEADERS

NOW = datetime(2026, 11, 23, 9, 0, 0, 125_000, tzinfo=UTC)


def rejected_again(headers: Headers) -> dict[str, bytes | None]:
    """Return the dead letter's headers of a record that was put back with ``headers`` and rejected again."""
    record = Record("otp.submitted", 0, 900, None, b"", headers, 1_800_000_000_000)
    made = dead_letter_headers(record, Rejected("not_json", "value: empty"), "other", NOW)
    names = [name for name, _ in made if name.startswith("dlt-")]
    assert len(names) == len(set(names)) == 9
    return dict(made)


def test_a_record_put_back_keeps_its_first_origin() -> None:
    """Attempts are counted up; error, reason and group are the latest."""
    headers = rejected_again([("a", b"1"), *OWN_HEADERS])
    for name in (
        "dlt-topic",
        "dlt-partition",
        "dlt-offset",
        "dlt-timestamp",
        "dlt-failed-at",
    ):
        assert headers[name] == dict(OWN_HEADERS)[name]

    assert headers["dlt-attempts"] == b"2"
    assert headers["dlt-error"] == b"not_json"
    assert headers["dlt-reason"] == b"value: empty"
    assert headers["dlt-group"] == b"other"
    assert headers["a"] == b"1"


@pytest.mark.parametrize(
    "broken",
    [
        ("dlt-offset", b"x"),
        ("dlt-topic", b""),
        ("dlt-topic", b"signin.results"),
        ("dlt-timestamp", None),
        ("dlt-partition", "٣".encode()),
    ],
)
def test_an_incomplete_or_foreign_origin_is_replaced(
    broken: tuple[str, bytes | None],
) -> None:
    """An emitter made it up, since a record is only ever put back on the topic it came from."""
    headers = rejected_again([*OWN_HEADERS, broken])
    assert headers["dlt-topic"] == b"otp.submitted"
    assert headers["dlt-offset"] == b"900"
    assert headers["dlt-failed-at"] == b"2026-11-23T09:00:00.125000Z"
    assert headers["dlt-attempts"] == b"1"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"9" * (9 << 20), b"2026-11-23T09:00:00.125000Z"),
        (b"yesterday", b"2026-11-23T09:00:00.125000Z"),
        (b"2026-11-22T09:00:00", b"2026-11-23T09:00:00.125000Z"),
        (b"0001-01-01T00:00:00+23:59", b"2026-11-23T09:00:00.125000Z"),
        (b"2026-11-22T09:00:00." + b"1" * 1_000 + b"Z", b"2026-11-22T09:00:00.111111Z"),
        (b"2026-11-22T09:00:00+00:00:30", b"2026-11-22T08:59:30Z"),
    ],
    ids=["9 MiB of digits", "no time", "no zone", "no time in UTC", "a long fraction", "seconds in the zone"],
)
def test_the_time_of_the_first_failure_is_written_anew(before: bytes, after: bytes) -> None:
    """An emitter may have written it: kept as it is, a long one would make every form of the letter too large."""
    assert rejected_again([*OWN_HEADERS, ("dlt-failed-at", before)])["dlt-failed-at"] == after


def test_attempts_that_are_not_a_number_count_as_one() -> None:
    """The origin is complete, so there was one attempt before."""
    assert rejected_again([*OWN_HEADERS, ("dlt-attempts", b"many")])["dlt-attempts"] == b"2"


def test_headers_are_read_as_they_were_written() -> None:
    """Every header comes back as the value it was made from."""
    record = Record("otp.submitted", 3, 41, None, b"", OWN_HEADERS, 1_800_000_000_000)
    again = provenance_of(dead_letter_headers(record, Rejected("schema", "code: missing"), "group", datetime.now(UTC)))
    assert again == Provenance("otp.submitted", 3, 41, "schema", "code: missing", NOW, 2)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("dlt-partition", b"three"), ("dlt-offset", None), ("dlt-attempts", b"-1")],
        [("dlt-failed-at", b"yesterday"), ("dlt-attempts", b"1e9")],
        [("dlt-failed-at", b"2026-11-23T09:00:00"), ("dlt-offset", b"9" * 30)],
    ],
)
def test_missing_or_malformed_headers_are_empty(headers: Headers) -> None:
    """Reading them does not fail, whoever wrote them."""
    assert provenance_of(headers) == Provenance()


def test_the_last_of_a_repeated_header_counts() -> None:
    """The worker appends its headers to those that an emitter may have sent."""
    assert provenance_of([("dlt-error", b"made up"), *OWN_HEADERS]).error == "schema"
