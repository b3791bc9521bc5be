"""What a person does in a browser."""

from playwright.async_api import Page, expect


async def request_code(page: Page, url: str, email: str = "ada@ok.example") -> None:
    """Ask for a code, and wait for the second page."""
    await page.goto(url)
    await page.get_by_label("E-mail address").fill(email)
    await page.get_by_role("button", name="Send me a code").click()
    await expect(page.get_by_label("Code")).to_be_visible()


async def type_code(page: Page, code: str) -> None:
    """Type a code and press Enter."""
    await page.get_by_label("Code").fill(code)
    await page.get_by_label("Code").press("Enter")
