"""Chromium for the tests: where it is, and a page that checks itself for accessibility."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM: Final = os.environ.get("SIGNIN_TEST_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)

needs_chromium: Final = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium or Chrome on the path: apt-get install chromium, or name one in SIGNIN_TEST_CHROMIUM",
)

expect.set_options(timeout=20_000)


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Start a browser without a screen. Its first start on a busy machine takes a while."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, timeout=60_000)
        try:
            yield browser
        finally:
            await browser.close()


async def assert_accessible(page: Page) -> None:
    """Fail with what axe-core finds on the page as it is now."""
    found = await Axe().run(page)
    violations: list[dict[str, Any]] = found.response["violations"]

    assert {each["id"]: [node["html"] for node in each["nodes"]] for each in violations} == {}
