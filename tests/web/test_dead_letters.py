"""Whatever is typed into the forms, no event becomes a dead letter: enough of them would stop the worker."""

from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.addresses import parse_address
from consumers.decode import decode_request, decode_submission
from consumers.outcomes import Rejected
from consumers.ports import Record
from tests.web.fake_worker import FakeWorker
from tests.web.person import Person
from web_login.addresses import as_address
from web_login.events import Event

NO_ADDRESSES: Final = (
    "alan@",
    "alan",
    "@ok.example",
    "a b@ok.example",
    "a@b@ok.example",
    f"{'a' * 65}@ok.example",
    "é@",
)


def becomes_dead_letter(event: Event) -> bool:
    """Tell whether the worker's own decoder refuses an event."""
    record = Record(event.type, 0, 0, event.key, event.body, tuple(event.headers))
    decode = decode_request if event.type == "signin.requested" else decode_submission
    return isinstance(decode(record, datetime.now(UTC)), Rejected)


@pytest.mark.parametrize("email", NO_ADDRESSES)
async def test_a_code_for_no_address_is_not_emitted(person: Person, worker: FakeWorker, email: str) -> None:
    """What is no address is told at once, without an event: a code typed for it would be a dead letter."""
    await person.request_code(email)

    if person.asks_for_code:
        await person.type_code("12345678")
    assert [event for event in worker.events if becomes_dead_letter(event)] == []
    assert worker.events == []
    assert person.notice == "Mail cannot reach this address. Is it spelled right?"


@pytest.mark.parametrize("settings", [{"site_key": "0x4AAA"}], indirect=True)
async def test_long_strings_are_cut(person: Person, worker: FakeWorker) -> None:
    """A browser may send long headers and fields. The worker would refuse an event above 64 KiB."""
    await person.open()
    person.client.headers.encoding = "latin-1"
    person.client.headers["user-agent"] = "\xff" * 20_000
    await person.post("/", email="ada@ok.example", **{"cf-turnstile-response": "\N{GRINNING FACE}" * 1_000})
    await person.type_code("\N{GRINNING FACE}" * 200)

    requested, submitted = worker.events
    assert not becomes_dead_letter(requested)
    assert not becomes_dead_letter(submitted)
    assert len(requested.value["client"]["user_agent"]) == 512


@settings(deadline=None)
@given(
    st.one_of(st.emails(), st.text(max_size=40), st.builds("{}@{}".format, st.text(max_size=20), st.text(max_size=20)))
)
def test_what_the_page_takes_for_an_address_is_one_for_the_worker(typed: str) -> None:
    """The page never accepts what the worker does not, blanks and a trailing dot included."""
    address = as_address(f" {typed}.")

    assert address is None or parse_address(address) is not None


@pytest.mark.parametrize(
    "typed", ["ada@ok.example", " ada@ok.example. ", "ada+tag@ok.example", "bücher@münchen.example"]
)
def test_addresses_are_taken(typed: str) -> None:
    """What the worker takes for an address, the page does, too."""
    assert parse_address(typed) is not None
    assert as_address(typed) is not None
