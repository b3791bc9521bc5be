"""The headers of dead letters, written and read."""

from datetime import UTC, datetime

import pytest

from consumers.dead_letters.headers import Provenance, dead_letter_headers, provenance_of
from consumers.outcomes import Rejected
from consumers.ports import Headers, Record

NOW = datetime(2026, 11, 23, 9, 0, 0, 125_000, tzinfo=UTC)
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


def again(headers: Headers) -> dict[str, bytes | None]:
    """Return the headers of a record that was put back with ``headers``, and is rejected again."""
    record = Record("otp.submitted", 0, 900, None, b"", headers, 1_800_000_000_000)
    made = dead_letter_headers(record, Rejected("not_json", "value: empty"), "other", NOW)
    names = [name for name, _ in made if name.startswith("dlt-")]
    assert len(names) == len(set(names)) == 9
    return dict(made)


def test_a_record_put_back_keeps_its_first_origin() -> None:
    """It counts attempts up; error, reason and group are the newest."""
    headers = again([("a", b"1"), *OWN])
    for name in ("dlt-topic", "dlt-partition", "dlt-offset", "dlt-timestamp", "dlt-failed-at"):
        assert headers[name] == dict(OWN)[name]

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
def test_an_origin_that_is_not_whole_or_elsewhere_is_none(broken: tuple[str, bytes | None]) -> None:
    """Somebody else's headers are replaced: a record is only ever put back where it came from."""
    headers = again([*OWN, broken])
    assert headers["dlt-topic"] == b"otp.submitted"
    assert headers["dlt-offset"] == b"900"
    assert headers["dlt-failed-at"] == b"2026-11-23T09:00:00.125000Z"
    assert headers["dlt-attempts"] == b"1"


def test_attempts_that_are_no_number_count_as_one() -> None:
    """The origin is whole, so there was one before."""
    assert again([*OWN, ("dlt-attempts", b"many")])["dlt-attempts"] == b"2"


def test_what_was_written_is_read() -> None:
    """Every header comes back as what it means."""
    record = Record("otp.submitted", 3, 41, None, b"", OWN, 1_800_000_000_000)
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
def test_headers_that_are_missing_or_malformed_say_nothing(headers: Headers) -> None:
    """Reading never fails, whoever wrote them."""
    assert provenance_of(headers) == Provenance()


def test_of_a_repeated_header_the_last_counts() -> None:
    """The worker's own stand after what an emitter may have sent."""
    assert provenance_of([("dlt-error", b"made up"), *OWN]).error == "schema"
