"""Whatever is typed into the forms, no event becomes a dead letter: enough of them would stop the worker."""

import sys
import unicodedata
from datetime import UTC, datetime
from itertools import product
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from activities.addresses import parse_address
from consumers.decode import decode_request, decode_submission
from consumers.outcomes import Rejected
from consumers.ports import Record
from tests.web.clock import Clock
from tests.web.fake_worker import CODE, FakeWorker
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
    f"{'a' * 61}\N{DEVANAGARI LETTER QA}@ok.example",  # 64 octets as typed, 67 in normal form
)
MAX_LOCAL_BYTES: Final = 64
MAX_ATTEMPTS: Final = 20


def normal_form(text: str) -> str:
    """Return the form of a text that the worker goes by."""
    return unicodedata.normalize("NFC", text)


def growing_letters() -> list[str]:
    """Return every character that is longer in its normal form."""
    surrogates = range(0xD800, 0xE000)
    letters = [chr(code) for code in range(sys.maxunicode + 1) if code not in surrogates]
    return [letter for letter in letters if len(normal_form(letter).encode()) > len(letter.encode())]


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


def test_letters_that_grow_in_their_normal_form() -> None:
    """The page measures the local part as the worker does, in a normal form that can be longer than what was typed."""
    letters = growing_letters()
    typed = [f"{letter.rjust(MAX_LOCAL_BYTES + 1 - len(letter.encode()), 'a')}@ok.example" for letter in letters]
    typed += [f"{letter * (MAX_LOCAL_BYTES // len(letter.encode()))}@ok.example" for letter in letters]

    addresses = list(filter(None, map(as_address, typed)))

    assert len(letters) > 50
    assert [address for address in addresses if parse_address(address) is None] == []


async def test_a_form_is_for_its_own_purpose(person: Person, worker: FakeWorker) -> None:
    """No form of another page begins a sign-in, whatever cookie comes with it: its subject is no sign-in's id."""
    await person.request_code()
    forms = person.forms
    await person.type_code(CODE)
    forms += person.forms
    cookies = list(person.client.cookies.values())
    worker.events.clear()

    for form, cookie in product(forms, cookies):
        person.client.cookies.clear()
        person.client.cookies.set("__Host-browser", cookie, domain="page.example")
        response = await person.client.post("/", data={"form": form, "email": "ada@ok.example"})
        assert response.status_code == 403

    assert [event.key for event in worker.events] == []


@pytest.mark.parametrize(
    ("host", "ip"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("\xff" * 11_000, ""),
        ("::1%" + "a" * 70_000, "::1"),
    ],
)
async def test_a_forwarded_address_may_be_anything(app: Starlette, worker: FakeWorker, host: str, ip: str) -> None:
    """Behind a proxy that hands on what the visitor sent, ``client.ip`` is an address or empty."""
    await Person(app, host).request_code()

    (event,) = worker.events
    assert not becomes_dead_letter(event)
    assert event.value["client"]["ip"] == ip


@pytest.mark.parametrize("settings", [{"lifetime_s": 600, "resend_after_s": 1}], indirect=True)
async def test_attempts_end_where_the_worker_ends_them(person: Person, worker: FakeWorker, clock: Clock) -> None:
    """The twentieth attempt is the last: a further one would be a dead letter."""
    await person.request_code()
    assert "Send it again" in person.page.text

    for _ in range(MAX_ATTEMPTS + 1):
        clock.forward(2)
        await person.resend()

    assert [event.value["attempt"] for event in worker.events if becomes_dead_letter(event)] == []
    assert len(worker.events) == MAX_ATTEMPTS
    assert "Send it again" not in person.page.text


@pytest.mark.parametrize(
    "typed", ["ada@ok.example", " ada@ok.example. ", "ada+tag@ok.example", "bücher@münchen.example"]
)
def test_addresses_are_taken(typed: str) -> None:
    """What the worker takes for an address, the page does, too."""
    assert parse_address(typed) is not None
    assert as_address(typed) is not None
