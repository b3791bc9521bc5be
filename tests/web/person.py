"""A person without a browser: posts forms, follows redirects and keeps cookies."""

import html
import re
from typing import Final

import httpx
from starlette.applications import Starlette

ORIGIN: Final = "https://page.example"
_NOTICE: Final = re.compile(r'id="notice"[^>]*>([^<]*)<')
_FORM: Final = re.compile(r'name="form" value="([^"]*)"')


class Person:
    """One browser's cookies. ``page`` is what the person sees last."""

    def __init__(self, app: Starlette, host: str = "127.0.0.1") -> None:
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, client=(host, 50_000)),
            base_url=ORIGIN,
            headers={"origin": ORIGIN, "accept-language": "en"},
            follow_redirects=True,
        )
        self.page = httpx.Response(204)

    @property
    def notice(self) -> str:
        """What the page says in its notice, empty if it has none."""
        found = _NOTICE.search(self.page.text)
        return html.unescape(found[1]) if found else ""

    @property
    def form(self) -> str:
        """The token of the page's first form."""
        return next(iter(self.forms))

    @property
    def forms(self) -> list[str]:
        """The tokens of all forms on the page."""
        return [str(token) for token in _FORM.findall(self.page.text)]

    @property
    def asks_for_code(self) -> bool:
        """Whether the page has the field for the code."""
        return 'id="code"' in self.page.text

    @property
    def is_signed_in(self) -> bool:
        """Whether the page greets somebody who is signed in."""
        return 'action="/sign-out"' in self.page.text

    async def open(self, path: str = "/", **headers: str) -> None:
        """Open a page."""
        self.page = await self.client.get(path, headers=headers)

    async def post(self, path: str, **fields: str) -> None:
        """Post the form of the page, with ``fields`` typed in."""
        self.page = await self.client.post(path, data={"form": self.form, **fields})

    async def request_code(self, email: str = "ada@ok.example") -> None:
        """Open the first page, and ask for a code."""
        await self.open()
        await self.post("/", email=email)

    async def type_code(self, code: str) -> None:
        """Type a code on the second page."""
        await self.post(self.page.url.path, code=code)

    async def sign_out(self) -> None:
        """Press "Sign out"."""
        self.page = await self.client.post("/sign-out")

    async def resend(self) -> None:
        """Ask for the mail again."""
        await self.post(f"{self.page.url.path}/resend")
