"""What axe-core and a small screen say about every page, in a real Chromium."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.web.chromium import assert_accessible, needs_chromium
from tests.web.fake_worker import CODE
from tests.web.steps import request_code

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize(
    ("locale", "direction", "scheme"),
    [
        ("en-GB", "ltr", "light"),
        ("en-GB", "ltr", "dark"),
        ("de-CH", "ltr", "light"),
        ("he-IL", "rtl", "dark"),
        ("ar", "rtl", "light"),
    ],
)
async def test_axe_finds_nothing(browser: Browser, url: str, locale: str, direction: str, scheme: Any) -> None:
    """Every page is accessible in every language, in light and dark, and runs in the language's direction."""
    context = await browser.new_context(ignore_https_errors=True, locale=locale, color_scheme=scheme)
    page = await context.new_page()
    await page.goto(url)

    assert await page.evaluate("getComputedStyle(document.documentElement).direction") == direction
    await assert_accessible(page)

    await page.locator("#email").press("Enter")
    await expect(page.locator("[role=alert]")).to_be_visible()
    await assert_accessible(page)

    await page.locator("#email").fill("ada@ok.example")
    await page.locator("#email").press("Enter")
    await expect(page.locator("#code")).to_be_visible()
    await assert_accessible(page)

    await page.locator("#code").fill("1")
    await page.locator("#code").press("Enter")
    await expect(page.locator("[role=alert]")).to_be_visible()
    await assert_accessible(page)

    await page.locator("#code").fill(CODE)
    await page.locator("#code").press("Enter")
    await expect(page).to_have_url(re.compile("/$"))
    await expect(page.locator(".account")).to_be_visible()
    await assert_accessible(page)
    await context.close()


async def test_a_narrow_screen(browser: Browser, url: str) -> None:
    """Nothing is wider than a small phone, a long address included."""
    context = await browser.new_context(ignore_https_errors=True, viewport={"width": 320, "height": 640})
    page = await context.new_page()
    await request_code(page, url, f"{'a' * 60}@{'b' * 60}.example")

    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    await context.close()
