"""The page's behaviour, form by form."""

import asyncio
import re
import time

import pytest
from starlette.applications import Starlette

from deploy.local.waiting import eventually
from tests.web.fake_worker import ACCOUNT, CODE, FakeWorker
from tests.web.person import Person

NOT_THE_CODE = "That is not the code. Please check it and try again."


def _without_secrets(person: Person) -> str:
    """Return the page as shown, without what differs every time."""
    text = re.sub(r'value="[\w.-]{40,}"|/code/[\w-]+|data-wait="\d+"|<bdi id="seconds">\d+', "", person.page.text)
    return re.sub(r"\w+@ok\.example", "", text)


async def test_the_right_code_signs_in(person: Person, worker: FakeWorker) -> None:
    """The person is signed in as the account of the result, until they sign out."""
    await person.request_code()
    await person.type_code("1234-5678 ")
    assert not person.is_signed_in

    await person.type_code(CODE)

    assert person.is_signed_in
    assert ACCOUNT in person.page.text
    await person.sign_out()
    assert "Send me a code" in person.page.text


@pytest.mark.parametrize("code", ["1234 5678", " 12345678", "١٢٣٤٥٦٧٨", "１２３４ ５６７８"])
async def test_codes_as_people_type_them(person: Person, code: str) -> None:
    """Blanks, and the digits of other scripts, are as good."""
    await person.request_code()
    await person.type_code(code)

    assert person.is_signed_in


@pytest.mark.parametrize("name", ["throttled", "locked"])
async def test_nobody_can_tell_who_is_throttled(app: Starlette, worker: FakeWorker, name: str) -> None:
    """Pages, and when they come, are the same for an address that gets a mail and one that gets none."""
    served = Person(app)
    refused = Person(app)
    took_s: list[float] = []

    for person, email in ((served, "ada@ok.example"), (refused, f"{name}@ok.example")):
        await person.request_code(email)
    assert _without_secrets(served) == _without_secrets(refused)

    for _ in range(4):
        for person in (served, refused):
            start_s = time.monotonic()
            await person.type_code("00000000")
            took_s.append(time.monotonic() - start_s)
        assert served.notice == NOT_THE_CODE
        assert _without_secrets(served) == _without_secrets(refused)

    for person in (served, refused):
        await person.resend()
    assert _without_secrets(served) == _without_secrets(refused)
    for person in (served, refused):
        await person.type_code("00000000")
        assert "start again" in person.notice
    assert min(took_s) >= 0.2


async def test_a_request_posted_twice_is_one_request(person: Person, worker: FakeWorker) -> None:
    """The same form again leads to the same page and emits nothing; with another address it is refused."""
    await person.open()
    form = person.form
    first = await person.client.post("/", data={"form": form, "email": "ada@ok.example"})
    again = await person.client.post("/", data={"form": form, "email": "ada@ok.example"})

    person.page = await person.client.post("/", data={"form": form, "email": "eve@ok.example"})

    assert first.url == again.url
    assert person.page.status_code == 409
    assert "out of date" in person.notice
    assert 'value="eve@ok.example"' in person.page.text
    assert len(worker.emitted("signin.requested")) == 1


async def test_a_resend_before_its_time_is_refused(person: Person, worker: FakeWorker) -> None:
    """The server keeps the time, also for a browser without the countdown."""
    await person.request_code()
    await person.resend()

    assert "too early" in person.notice
    assert len(worker.emitted("signin.requested")) == 1


@pytest.mark.parametrize("settings", [{"resend_after_s": 1}], indirect=True)
async def test_a_form_posted_twice_is_one_resend(person: Person, worker: FakeWorker) -> None:
    """Two clicks on the button emit one attempt, and neither says that it is too early."""
    await person.request_code()
    path = f"{person.page.url.path}/resend"

    async def resent() -> str | None:
        form = person.form
        await person.resend()
        return form if "another mail is on its way" in person.notice else None

    form = await eventually(resent, "the mail is sent again", within_s=30)
    person.page = await person.client.post(path, data={"form": form})

    assert "another mail is on its way" in person.notice
    assert [event["attempt"] for event in worker.emitted("signin.requested")] == [1, 2]


@pytest.mark.parametrize("settings", [{"lifetime_s": 62, "resend_after_s": 3}], indirect=True)
async def test_no_resend_in_the_last_minute(person: Person) -> None:
    """A code that is about to expire is not offered again: the worker would refuse."""
    await person.request_code()

    assert person.asks_for_code
    assert "Send it again" not in person.page.text


async def test_a_broker_that_is_away(person: Person, worker: FakeWorker) -> None:
    """The person is told to try again, at no cost, and the same sign-in goes on when they do."""
    await person.open()
    worker.is_down = True
    await person.post("/", email="ada@ok.example")
    assert person.page.status_code == 503
    assert "wrong on our side" in person.notice

    worker.is_down = False
    await person.post("/", email="ada@ok.example")
    worker.is_down = True
    for _ in range(5):
        await person.type_code(CODE)
        assert "wrong on our side" in person.notice

    worker.is_down = False
    await person.type_code(CODE)
    assert person.is_signed_in


async def test_a_late_success_signs_in(person: Person, worker: FakeWorker) -> None:
    """A verdict that comes after the page stopped waiting counts when the page is opened again."""
    await person.request_code()
    worker.is_slow = True
    await person.type_code(CODE)
    assert person.notice == NOT_THE_CODE

    worker.publish()
    await person.open(person.page.url.path)

    assert person.is_signed_in


async def test_the_session_of_a_sign_in_opens_once(person: Person) -> None:
    """The same session is given again if an answer was lost, but not after signing out."""
    await person.request_code()
    path = person.page.url.path
    await person.type_code(CODE)
    person.client.cookies.delete("__Host-session")

    await person.open(path)
    assert person.is_signed_in

    await person.sign_out()
    await person.open(path)
    assert not person.is_signed_in


@pytest.mark.parametrize("typed", ["", "   "])
async def test_a_missing_address(person: Person, worker: FakeWorker, typed: str) -> None:
    """An empty field begins nothing."""
    await person.request_code(typed)

    assert person.page.status_code == 422
    assert person.notice == "Type your e-mail address."
    assert worker.events == []


async def test_a_missing_code(person: Person, worker: FakeWorker) -> None:
    """An empty field is no try."""
    await person.request_code()
    await person.type_code("  ")

    assert person.notice == "Type the code from the mail."
    assert worker.emitted("otp.submitted") == []


@pytest.mark.parametrize(
    ("name", "notice"),
    [
        ("nowhere", "Mail cannot reach this address. Is it spelled right?"),
        ("misspelt", "Mail cannot reach this address. Is it spelled right?"),
        ("bot", "We could not tell that you are a person. Please try again."),
        ("late", "We could not tell that you are a person. Please try again."),
    ],
)
async def test_reasons_that_are_told(person: Person, worker: FakeWorker, name: str, notice: str) -> None:
    """What is about the form begins again, with a new id."""
    await person.request_code(f"{name}@ok.example")
    assert person.notice == notice

    await person.post("/", email="ada@ok.example")

    assert person.asks_for_code
    assert len({event["signin_id"] for event in worker.emitted("signin.requested")}) == 2


async def test_the_state_is_held_until_it_changes(app: Starlette, person: Person, worker: FakeWorker) -> None:
    """The script's question is answered when there is something else to show."""
    await person.request_code()
    path = f"{person.page.url.path}/state"
    worker.is_slow = True
    await person.type_code(CODE)

    asking = asyncio.create_task(person.client.get(path))
    await asyncio.wait({asking}, timeout=0.1)
    assert not asking.done()
    worker.publish()

    assert (await asking).json() == {"state": "signed_in"}
    assert (await Person(app).client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "code", "direction"),
    [("de-CH,en;q=0.5", "de", "ltr"), ("he", "he", "rtl"), ("ar-EG", "ar", "rtl"), ("xx, *", "en", "ltr")],
)
async def test_the_browsers_language(
    person: Person, worker: FakeWorker, wanted: str, code: str, direction: str
) -> None:
    """The page speaks the browser's language, and asks for the mail in it."""
    person.client.headers["accept-language"] = wanted
    await person.request_code()

    assert f'<html lang="{code}" dir="{direction}">' in person.page.text
    assert worker.emitted("signin.requested")[0]["client"]["locale"] == code


async def test_a_chosen_language_is_kept(person: Person) -> None:
    """The links on the first page choose a language for all pages."""
    await person.open("/?lang=he")
    await person.post("/", email="ada@ok.example")

    assert '<html lang="he" dir="rtl">' in person.page.text


@pytest.mark.parametrize("settings", [{"site_key": "0x4AAA", "test_token": "unused"}], indirect=True)
async def test_the_widget(person: Person, worker: FakeWorker) -> None:
    """With a site key, both forms hold Turnstile's widget, bound to the sign-in, and its token is sent."""
    await person.open()
    (bound_to,) = re.findall(r'data-action="signin" data-cdata="([\w-]{22})"', person.page.text)
    assert "https://challenges.cloudflare.com" in person.page.headers["content-security-policy"]
    await person.post("/", email="ada@ok.example", **{"cf-turnstile-response": "0.token"})

    (event,) = worker.emitted("signin.requested")
    assert (event["signin_id"], event["turnstile_token"]) == (bound_to, "0.token")
    assert f'data-cdata="{bound_to}"' in person.page.text


async def test_health(person: Person, worker: FakeWorker) -> None:
    """A process that no longer reads results is to be replaced."""
    await person.open("/healthz")
    assert person.page.status_code == 200

    worker.is_reading = False
    await person.open("/healthz")
    assert person.page.status_code == 503
