"""Every dead letter can be written: its shortest form is small, whatever the record came with."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.handling.dead_lettering import DeadLetterBreaker, DeadLettering
from consumers.intake import Delivery
from consumers.outcomes import Outcome, Rejected
from consumers.ports import Headers, Record
from tests.fakes.dead_letter_writer import FakeDeadLetterWriter
from tests.fakes.dead_letters import OWN_HEADERS

SHORTEST_BYTES = 600
LONGEST_REASON = "x" * 200
REJECTED = Rejected("not_json", LONGEST_REASON)
TOPIC = "otp.submitted"

LENGTHS = st.sampled_from([1, 10, 1_000, 100_000])
DIGITS = st.builds(lambda digit, length: digit * length, st.sampled_from([b"0", b"9"]), LENGTHS)
LONG_NUMBERS = st.builds(lambda zeros, number: b"0" * zeros + b"%d" % number, LENGTHS, st.integers(0))
LONG_TIMES = st.builds(
    lambda digits, zone: b"2026-11-23T09:00:00." + digits + zone,
    DIGITS,
    st.sampled_from([b"", b"Z", b"+00:00", b"-23:59:59.999999"]),
)
HOSTILE = st.none() | st.binary() | DIGITS | LONG_NUMBERS | LONG_TIMES
NAMES = st.sampled_from([name for name, _ in OWN_HEADERS]) | st.sampled_from(
    ["dlt-last-offset", "dlt-value-size", "dlt-value-sha256", "dlt-unknown", "a"]
)
REPEATS = st.sampled_from([1, 1_000])
HEADERS = st.builds(lambda few, times: few * times, st.lists(st.tuples(NAMES, HOSTILE), max_size=3), REPEATS)
KEYS = st.none() | DIGITS


async def reject(_: Delivery) -> Outcome:
    """Reject every record: a handler."""
    return REJECTED


async def no_form_fits(_: float) -> None:
    """Fail instead of waiting: no try after this one can do better."""
    raise AssertionError("no form of the dead letter is small enough")


@settings(max_examples=500)
@given(st.booleans(), HEADERS, KEYS, DIGITS)
def test_the_shortest_form_has_a_bounded_size(
    put_back: bool, hostile: Headers, key: bytes | None, value: bytes
) -> None:
    """A dead letter that never fits would hold its partition back for ever."""
    headers = [*OWN_HEADERS, *hostile] if put_back else hostile
    record = Record(TOPIC, 2**31 - 1, 2**63 - 1, key, value, headers, 2**63 - 1)
    writer = FakeDeadLetterWriter(SHORTEST_BYTES)
    handle = DeadLettering(reject, writer, DeadLetterBreaker(), "group", sleep=no_form_fits)

    asyncio.run(handle(Delivery(record, REJECTED, "offset/41")))

    assert len(writer.written) == 1
