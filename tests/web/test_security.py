"""What the page refuses."""

from typing import Any

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette

from tests.web.fake_worker import CODE, FakeWorker
from tests.web.person import Person
from web_login.security import Forms
from web_login.settings import Settings


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://page.example", ""])
async def test_posts_of_other_sites_are_refused(person: Person, worker: FakeWorker, origin: str) -> None:
    """Whatever the form holds, it must come from the page's own origin."""
    await person.open()
    person.client.headers["origin"] = origin
    await person.post("/", email="ada@ok.example")

    assert person.page.status_code == 403
    assert worker.events == []


async def test_a_form_of_another_browser_is_refused(app: Starlette, worker: FakeWorker) -> None:
    """An attacker's own form, made to be posted by the victim's browser, begins nothing."""
    attacker = Person(app)
    victim = Person(app)
    await attacker.open()
    await victim.open()

    victim.page = await victim.client.post("/", data={"form": attacker.form, "email": "attacker@ok.example"})

    assert victim.page.status_code == 403
    assert worker.events == []


async def test_an_attackers_sign_in_cannot_be_finished_by_a_victim(app: Starlette, worker: FakeWorker) -> None:
    """Neither link nor form of another browser's sign-in has an effect: nobody is signed in as somebody else."""
    attacker = Person(app)
    victim = Person(app)
    await attacker.request_code()
    await victim.open()
    path = attacker.page.url.path

    victim.page = await victim.client.post(path, data={"form": attacker.form, "code": CODE})
    assert victim.page.url.path == "/"
    assert worker.emitted("otp.submitted") == []

    await attacker.type_code(CODE)
    await victim.open(path)
    assert attacker.is_signed_in
    assert not victim.is_signed_in


async def test_a_form_of_another_sign_in_is_refused(person: Person, worker: FakeWorker) -> None:
    """A form is for its own sign-in alone."""
    await person.request_code("first@ok.example")
    form = person.form
    await person.request_code("second@ok.example")

    await person.client.post(person.page.url.path, data={"form": form, "code": CODE})

    assert worker.emitted("otp.submitted") == []


async def test_a_browser_without_cookies_begins_again(person: Person, worker: FakeWorker) -> None:
    """Without the cookie no form is valid."""
    await person.open()
    form = person.form
    person.client.cookies.clear()

    person.page = await person.client.post("/", data={"form": form, "email": "ada@ok.example"})

    assert person.page.status_code == 403
    assert "out of date" in person.notice
    assert worker.events == []


async def test_a_strange_cookie_is_nobodys(person: Person) -> None:
    """A cookie with letters that no cookie of ours has opens nothing, and breaks nothing."""
    await person.request_code()
    path = person.page.url.path
    person.client.cookies.clear()

    response = await person.client.get(path, headers=[(b"cookie", b"__Host-browser=\xe9")])

    assert response.status_code == 200
    assert 'id="code"' not in response.text


@pytest.mark.parametrize("cookie", ["a" * 4_000, "a" * 23, "a" * 21 + "."])
async def test_a_made_up_cookie_is_replaced(person: Person, cookie: str) -> None:
    """Nobody chooses their cookie, so nobody fills the memory with long ones."""
    person.client.cookies.set("__Host-browser", cookie, domain="page.example")

    await person.request_code()

    assert person.asks_for_code
    assert len(person.client.cookies["__Host-browser"]) == 22


async def test_an_endless_form_is_refused(person: Person) -> None:
    """A form is read up to 16 KiB."""
    await person.open()
    await person.post("/", email="a" * 20_000)

    assert person.page.status_code == 413


async def test_ids_are_in_no_url(person: Person, worker: FakeWorker) -> None:
    """No URL holds the sign-in's id, and no page the cookie's value."""
    await person.request_code()
    signin_id = worker.emitted("signin.requested")[0]["signin_id"]
    browser = person.client.cookies["__Host-browser"]

    assert signin_id not in str(person.page.url)
    assert browser not in person.page.text


async def test_headers(person: Person) -> None:
    """Every response forbids frames, foreign scripts, sniffing and caching, the redirects and errors too."""
    for path in ("/", "/nowhere", "/code/x", "/static/style.css"):
        response = await person.client.get(path, follow_redirects=False)

        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "same-origin"
        assert "strict-transport-security" in response.headers


async def test_signing_in_again_ends_the_session_before(person: Person) -> None:
    """A browser has one session; the one that it had is of no use to whoever kept its name."""
    await person.request_code()
    await person.type_code(CODE)
    before = person.client.cookies["__Host-session"]

    person.client.cookies.delete("__Host-session")
    await person.open()
    person.client.cookies.set("__Host-session", before, domain="page.example")
    await person.post("/", email="eve@ok.example")
    await person.type_code(CODE)
    assert person.client.cookies["__Host-session"] != before

    person.client.cookies.clear()
    person.client.cookies.set("__Host-session", before, domain="page.example")
    await person.open()
    assert not person.is_signed_in


async def test_cookies(person: Person) -> None:
    """Cookies have the prefix and all flags."""
    await person.request_code()
    path = person.page.url.path
    await person.client.post(path, data={"form": person.form, "code": CODE}, follow_redirects=False)
    response = await person.client.get(path, follow_redirects=False)
    (cookie,) = response.headers.get_list("set-cookie")

    assert cookie.startswith("__Host-session=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


async def test_an_address_is_only_text(person: Person) -> None:
    """An address that is HTML is shown, not run."""
    await person.request_code('"><script>alert(1)</script>@ok.example')

    assert "<script>alert" not in person.page.text
    assert "&lt;script&gt;alert(1)" in person.page.text


def test_tokens_of_forms_bind_browser_and_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is valid for an hour, unchanged, with the secret it was made with, for its purpose and browser only."""
    forms = Forms("secret")
    token = forms.token("start", "browser", "subject")

    assert forms.subject("start", token, "browser") == "subject"
    assert forms.subject("start", token, "another") is None
    assert forms.subject("code", token, "browser") is None
    assert forms.subject("start", token + "x", "browser") is None
    assert forms.subject("start", forms.token("start", "", "subject"), "") is None
    assert Forms("other").subject("start", token, "browser") is None

    monkeypatch.setattr("web_login.security.FORM_LIFETIME_S", -1)
    assert forms.subject("start", token, "browser") is None


@pytest.mark.parametrize(
    "values",
    [{"origin": "http://page.example", "secret": "s"}, {"origin": "https://page.example"}, {"lifetime_s": 601}],
)
def test_unsafe_settings_are_refused(values: dict[str, Any]) -> None:
    """Beyond the loopback interface the page needs TLS and a secret of its own."""
    with pytest.raises(ValidationError):
        Settings(**values)


def test_settings_of_a_developer() -> None:
    """On the loopback interface nothing needs to be set."""
    settings = Settings(origin="http://localhost:8000/")

    assert settings.origin == "http://localhost:8000"
    assert len(settings.secret.get_secret_value()) >= 32
