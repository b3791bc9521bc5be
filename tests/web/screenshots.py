"""Take the README's pictures of the page: ``python -m tests.web.screenshots PAGE_URL MAILS_URL``.

The addresses are those that ``make demo ARGS=--web`` prints: what is seen is the real thing.
"""

import argparse
import asyncio
import re
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, ViewportSize, expect

from deploy.local.places import PROJECT
from tests.web.chromium import running_browser

IMAGES: Final = PROJECT / "docs" / "images"
_SIZE: Final[ViewportSize] = {"width": 420, "height": 640}


async def take_pictures(page_url: str, mails_url: str, folder: Path) -> None:
    """Sign in once in English, and look at the code's page in Hebrew and at the mail."""
    async with running_browser() as browser:
        page = await _new_page(browser, "en-GB")
        await page.goto(page_url)
        await page.get_by_label("E-mail address").fill("ada@ok.example")
        await page.screenshot(path=folder / "web-address.png")

        await page.get_by_role("button", name="Send me a code").click()
        code = await _take_mail(browser, mails_url, folder)
        await page.get_by_label("Code").fill(f"{code[:4]} {code[4:]}")
        await page.screenshot(path=folder / "web-code.png")

        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()
        await page.screenshot(path=folder / "web-signed-in.png")
        await _take_hebrew(browser, page_url, folder)


async def _take_mail(browser: Browser, mails_url: str, folder: Path) -> str:
    context = await browser.new_context(viewport=_SIZE, device_scale_factor=1.5)
    page = await context.new_page()
    await page.goto(mails_url)
    mail = page.frame_locator("iframe").first.locator("body")

    await expect(page.locator("article p").first).to_contain_text("to ada@ok.example")
    await expect(mail).to_contain_text(re.compile(r"\d{8}"))
    await page.screenshot(path=folder / "web-mail.png")
    return str(re.findall(r"\b\d{8}\b", await mail.inner_text())[0])


async def _take_hebrew(browser: Browser, page_url: str, folder: Path) -> None:
    page = await _new_page(browser, "he-IL")
    await page.goto(page_url)
    await page.locator("#email").fill("noa@ok.example")
    await page.locator("#email").press("Enter")

    await page.locator("#code").fill("1")
    await page.locator("#code").press("Enter")
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.screenshot(path=folder / "web-hebrew.png")


async def _new_page(browser: Browser, locale: str) -> Page:
    """Open a page as of a Chrome with a screen, whose name is in the mail."""
    chrome = (
        f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{browser.version} Safari/537.36"
    )
    context = await browser.new_context(locale=locale, viewport=_SIZE, device_scale_factor=1.5, user_agent=chrome)
    return await context.new_page()


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.web.screenshots", description="Take the README's pictures.")
    parser.add_argument("page_url")
    parser.add_argument("mails_url")
    arguments = parser.parse_args()

    asyncio.run(take_pictures(arguments.page_url, arguments.mails_url, IMAGES))


if __name__ == "__main__":
    main()
