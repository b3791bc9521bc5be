"""What people do with the page, in a real Chromium: by TLS, with a stand-in for the worker."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.web.chromium import needs_chromium
from tests.web.fake_worker import CODE, FakeWorker
from tests.web.steps import request_code, type_code

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

NOT_THE_CODE = "That is not the code"
ON_ITS_WAY = "a mail is on its way"


@pytest_asyncio.fixture(loop_scope="module")
async def no_script(browser: Browser) -> AsyncIterator[BrowserContext]:
    """Give a browser that runs no script."""
    context = await browser.new_context(ignore_https_errors=True, locale="en-GB", java_script_enabled=False)
    context.set_default_timeout(20_000)
    yield context
    await context.close()


async def test_success(page: Page, url: str, worker: FakeWorker) -> None:
    """A person asks for a code, pastes it with a blank, is signed in, and signs out."""
    breaches: list[str] = []
    page.on("console", lambda message: breaches.append(message.text))

    await request_code(page, url)
    await expect(page.locator("main")).to_contain_text(f"{ON_ITS_WAY} to ada@ok.example")
    await expect(page.get_by_label("Code")).to_be_focused()
    await page.evaluate("document.execCommand('insertText', false, '1234 5678')")
    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()
    assert page.url == f"{url}/"
    assert [event["code"] for event in worker.emitted("otp.submitted")] == ["1234 5678"]

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("E-mail address")).to_be_visible()
    assert breaches == []


async def test_without_script(no_script: BrowserContext, url: str) -> None:
    """The main path needs no script: wrong code, then the right one."""
    page = await no_script.new_page()

    await request_code(page, url)
    await type_code(page, "00000000")
    await expect(page.get_by_role("alert")).to_contain_text(NOT_THE_CODE)
    await type_code(page, CODE)

    await expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()


async def test_phones_can_fill_in_the_code(page: Page, url: str) -> None:
    """The field says that it takes a one-time code, and opens the keys for digits."""
    await request_code(page, url)
    field = page.get_by_label("Code")

    await expect(field).to_have_attribute("autocomplete", "one-time-code")
    await expect(field).to_have_attribute("inputmode", "numeric")


async def test_wrong_code(page: Page, url: str) -> None:
    """The error is announced, bound to the field, and in the title; the fifth wrong code ends the sign-in."""
    await request_code(page, url)

    for code in ("00000000", "00000001", "00000002", "00000003"):
        await type_code(page, code)
        await expect(page.get_by_role("alert")).to_contain_text(NOT_THE_CODE)
        await expect(page.get_by_label("Code")).to_have_value("")
    await expect(page.get_by_label("Code")).to_have_attribute("aria-invalid", "true")
    await expect(page).to_have_title("Error: Type the code")

    await type_code(page, "00000004")
    await expect(page.get_by_role("alert")).to_contain_text("Please start again")
    await expect(page.get_by_label("E-mail address")).to_have_value("ada@ok.example")


@pytest.mark.parametrize("settings", [{"resend_after_s": 4}], indirect=True)
async def test_resend(page: Page, url: str, worker: FakeWorker) -> None:
    """The button counts down; then it sends the next attempt, with a token of its own, and counts down again."""
    await request_code(page, url)
    button = page.get_by_role("button", name="Send it again")

    await expect(page.get_by_text("You can ask for the mail again in")).to_be_visible()
    await expect(button).to_have_attribute("aria-disabled", "true")
    await expect(button).to_have_attribute("aria-disabled", "false")
    await button.click()

    await expect(page.get_by_role("status")).to_contain_text("another mail is on its way")
    first, second = worker.emitted("signin.requested")
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert first["signin_id"] == second["signin_id"]
    assert first["turnstile_token"] != second["turnstile_token"]
    await expect(button).to_have_attribute("aria-disabled", "true")


async def test_resend_too_early_without_script(no_script: BrowserContext, url: str, worker: FakeWorker) -> None:
    """Without a script the button works, and the server says that it is too early."""
    page = await no_script.new_page()
    await request_code(page, url)

    await page.get_by_role("button", name="Send it again").click()

    await expect(page.get_by_role("alert")).to_contain_text("too early")
    assert len(worker.emitted("signin.requested")) == 1


@pytest.mark.parametrize("settings", [{"lifetime_s": 8}], indirect=True)
async def test_expiry(page: Page, url: str) -> None:
    """An open page tells by itself that the code has expired."""
    await request_code(page, url)

    await expect(page.get_by_role("alert")).to_contain_text("The code has expired")
    await expect(page.get_by_label("E-mail address")).to_have_value("ada@ok.example")


@pytest.mark.parametrize("name", ["throttled", "locked"])
async def test_throttled(page: Page, url: str, name: str) -> None:
    """Who is throttled or locked sees what everybody sees, up to the fifth code."""
    await request_code(page, url, f"{name}@ok.example")
    await expect(page.locator("main")).to_contain_text(ON_ITS_WAY)

    for _ in range(4):
        await type_code(page, CODE)
        await expect(page.get_by_role("alert")).to_contain_text(NOT_THE_CODE)
        await expect(page.get_by_label("Code")).to_have_value("")
    await type_code(page, CODE)

    await expect(page.get_by_role("alert")).to_contain_text("Please start again")


@pytest.mark.parametrize(
    ("name", "text"),
    [("nowhere", "Mail cannot reach"), ("misspelt", "Mail cannot reach"), ("bot", "are a person")],
)
async def test_what_is_about_the_form(page: Page, url: str, worker: FakeWorker, name: str, text: str) -> None:
    """An address that mail cannot reach is told, on the page that is open, and so is a failed challenge."""
    worker.is_slow = True
    await request_code(page, url, f"{name}@ok.example")

    worker.publish()

    await expect(page.get_by_role("alert")).to_contain_text(text)
    await expect(page.get_by_label("E-mail address")).to_have_value(f"{name}@ok.example")


async def test_back_button(page: Page, url: str, worker: FakeWorker) -> None:
    """Back to the first page with another address is another sign-in; back after the code repeats nothing."""
    await request_code(page, url, "first@ok.example")
    await page.go_back()
    await page.get_by_label("E-mail address").fill("second@ok.example")
    await page.get_by_role("button", name="Send me a code").click()
    await expect(page.locator("main")).to_contain_text("second@ok.example")

    first, second = worker.emitted("signin.requested")
    assert first["signin_id"] != second["signin_id"]

    await type_code(page, CODE)
    await expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()
    assert len(worker.emitted("otp.submitted")) == 1


async def test_two_tabs(context: BrowserContext, url: str) -> None:
    """Two tabs are two sign-ins: a code goes to its own, and whoever signs in last is signed in."""
    first = await context.new_page()
    second = await context.new_page()
    await request_code(first, url, "first@ok.example")
    await request_code(second, url, "second@ok.example")

    await type_code(first, CODE)
    await expect(first.locator("main")).to_contain_text("Signed in as first@ok.example")
    await type_code(second, CODE)
    await expect(second.locator("main")).to_contain_text("Signed in as second@ok.example")
    await first.reload()
    await expect(first.locator("main")).to_contain_text("Signed in as second@ok.example")


async def test_one_sign_in_in_two_tabs(context: BrowserContext, url: str) -> None:
    """The tab that waits sees that the other one has signed in."""
    waiting = await context.new_page()
    await request_code(waiting, url)
    other = await context.new_page()
    await other.goto(waiting.url)

    await type_code(other, CODE)

    await expect(waiting.get_by_role("heading", name="You are signed in")).to_be_visible()


async def test_a_late_success(page: Page, url: str, worker: FakeWorker) -> None:
    """A verdict that comes after the page stopped waiting still signs in."""
    await request_code(page, url)
    worker.is_slow = True
    await type_code(page, CODE)
    await expect(page.get_by_role("alert")).to_contain_text(NOT_THE_CODE)

    worker.publish()

    await expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()


async def test_another_browser(browser: Browser, page: Page, url: str) -> None:
    """A link to a sign-in opens nothing in another browser, neither before nor after the right code."""
    await request_code(page, url)
    link = page.url
    await type_code(page, CODE)
    await expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()

    other = await browser.new_context(ignore_https_errors=True, locale="en-GB")
    stranger = await other.new_page()
    await stranger.goto(link)

    await expect(stranger.get_by_label("E-mail address")).to_have_value("")
    await other.close()


async def test_cookies_are_out_of_reach(context: BrowserContext, page: Page, url: str) -> None:
    """Chromium accepts the cookies with their prefix, and shows none of them to a script."""
    await request_code(page, url)
    await type_code(page, CODE)
    await expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()

    cookies: list[Any] = await context.cookies()

    assert sorted(cookie["name"] for cookie in cookies) == ["__Host-browser", "__Host-session"]
    assert all(cookie["secure"] and cookie["httpOnly"] and cookie["sameSite"] == "Lax" for cookie in cookies)
    assert await page.evaluate("document.cookie") == ""
