"""The pages, as plain forms: each post is answered with a redirect, so reload and the back button repeat nothing."""

import ipaddress
import math
import secrets
import time
import unicodedata
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from web_login import events
from web_login.addresses import as_address
from web_login.events import Event
from web_login.kafka import EmitError
from web_login.languages import LANGUAGES, language_of
from web_login.security import Cookies, Forms, new_browser
from web_login.sessions import Sessions
from web_login.settings import Settings
from web_login.sign_ins import SignIn, SignIns, TooManySignIns

_MAX_FORM_BYTES: Final = 16_384
_MAX_EMAIL: Final = 320
_MAX_CODE: Final = 64
_MAX_USER_AGENT: Final = 512
_MAX_TOKEN: Final = 2_049  # one more than Turnstile's longest, so that a longer one stays invalid
_MAX_ATTEMPTS: Final = 20  # a request beyond the contract's last attempt would be a dead letter
_HELD_S: Final = 20
_NO_RESEND_LAST_S: Final = 60
"""A code that expires within a minute is not sent again: the worker would refuse."""


class Emitter(Protocol):
    """What carries events to the worker."""

    async def emit(self, event: Event) -> None:
        """Return once the event is safe. Raises ``EmitError``."""
        ...


class Pages:
    """The first page asks for an address, the second for the code. The third is only for who has signed in."""

    def __init__(self, settings: Settings, sign_ins: SignIns, emitter: Emitter) -> None:
        self._settings = settings
        self._sign_ins = sign_ins
        self._emitter = emitter
        self._sessions = Sessions()
        self._cookies = Cookies(secure=settings.is_secure)
        self._forms = Forms(settings.secret.get_secret_value())
        self._templates = Jinja2Templates(Path(__file__).with_name("templates"))

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/", self.show_start, methods=["GET"]),
            Route("/", self.request_code, methods=["POST"]),
            Route("/code/{handle}", self.show_code, methods=["GET"]),
            Route("/code/{handle}", self.submit_code, methods=["POST"]),
            Route("/code/{handle}/resend", self.resend, methods=["POST"]),
            Route("/code/{handle}/state", self.hold_until_changed, methods=["GET"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    async def show_start(self, request: Request) -> Response:
        """Show the form for the address, or who is signed in."""
        session = self._sessions.find(self._cookies.get(request, "session"))
        return self._page(request, "signed_in.html", session=session) if session else self._start(request)

    async def request_code(self, request: Request) -> Response:
        """Emit ``signin.requested``, and show the second page at once, whatever becomes of the request."""
        form = await _read_form(request)
        browser = self._cookies.browser(request)
        email = form.get("email", "").strip()[:_MAX_EMAIL]
        address = as_address(email)
        signin_id = self._forms.subject("start", form.get("form", ""), browser)

        if signin_id is None:
            return self._start(request, email=email, notice="outdated", status=403)
        if address is None:
            return self._start(request, email=email, notice="unreachable" if email else "no_email", status=422)

        try:
            sign_in = self._sign_ins.open(signin_id, browser, address)
            if sign_in is None:  # after the back button, with another address, or long after
                return self._start(request, email=email, notice="outdated", status=409)
            if sign_in.attempts == 0:
                await self._request(request, sign_in, form)
        except (EmitError, TooManySignIns):
            return self._start(request, email=email, notice="unavailable", status=503, signin_id=signin_id)

        return _see_other(f"/code/{sign_in.handle}")

    async def show_code(self, request: Request) -> Response:
        """Show the form for the code; open the session once the code was right; start again once it is over."""
        sign_in = self._sign_in(request)
        if sign_in is None:
            return _see_other("/")

        state = self._sign_ins.state(sign_in)
        if state == "signed_in":
            return self._open_session(request, sign_in)
        if state != "waiting":
            return self._start(request, email=sign_in.email, notice=state)

        wait_s = math.ceil(max(0, sign_in.resend_at_s - time.monotonic()))
        remaining_s = self._sign_ins.remaining_s(sign_in)
        form = self._forms.token("code", sign_in.browser, sign_in.handle)
        can_resend = remaining_s - wait_s > _NO_RESEND_LAST_S and sign_in.attempts < _MAX_ATTEMPTS

        return self._page(
            request,
            "code.html",
            sign_in=sign_in,
            form=form,
            wait_s=wait_s,
            can_resend=can_resend,
            notice=sign_in.notice,
        )

    async def submit_code(self, request: Request) -> Response:
        """Emit ``otp.submitted``, and wait for a success.

        Every other answer, and none at all, takes as long and looks alike.
        """
        sign_in, form = await self._posted(request)
        code = _as_digits(form.get("code", ""))[:_MAX_CODE]
        submission_id = self._forms.submission_id(form["form"], code)

        if not code:
            sign_in.notice = "no_code"
        elif self._sign_ins.state(sign_in) == "waiting":
            await self._submit(sign_in, submission_id, code)
        elif submission_id in sign_in.submissions:  # the last code, posted twice: its result may be on its way
            await sign_in.wait_for_result(self._settings.verdict_within_s)

        return _see_other(f"/code/{sign_in.handle}")

    async def resend(self, request: Request) -> Response:
        """Emit the next attempt of ``signin.requested``, unless it is too early. A form is good for one attempt."""
        sign_in, form = await self._posted(request)
        is_new = form["form"] not in sign_in.used_forms and sign_in.attempts < _MAX_ATTEMPTS

        if is_new and self._sign_ins.state(sign_in) == "waiting":
            await self._resend(request, sign_in, form)

        return _see_other(f"/code/{sign_in.handle}")

    async def hold_until_changed(self, request: Request) -> Response:
        """Answer once there is something else to show, or after a while. For the script; nothing depends on it."""
        sign_in = self._sign_in(request)
        if sign_in is None:
            return JSONResponse({"state": "unknown"}, 404)

        if self._sign_ins.state(sign_in) == "waiting":
            await sign_in.wait_for_result(min(_HELD_S, max(0, self._sign_ins.remaining_s(sign_in))))
        return JSONResponse({"state": self._sign_ins.state(sign_in)})

    async def sign_out(self, request: Request) -> Response:
        """End the session, however old the page is. Other sites cannot: the origin of posts is checked."""
        self._sessions.close(self._cookies.get(request, "session"))

        response = _see_other("/")
        self._cookies.delete(response, "session")
        return response

    async def _request(self, request: Request, sign_in: SignIn, form: dict[str, str]) -> None:
        attempt = sign_in.attempts + 1
        token = form.get("cf-turnstile-response", "") if self._settings.site_key else self._test_token(sign_in.id)
        user_agent = request.headers.get("user-agent", "")
        client = {
            "ip": _ip_address(request),
            "user_agent": user_agent[:_MAX_USER_AGENT],
            "locale": language_of(request).code,
            "trusted_device": False,
        }

        await self._emitter.emit(events.requested(sign_in.id, attempt, sign_in.email, token[:_MAX_TOKEN], client))
        if attempt == 1:
            self._sign_ins.begin(sign_in)
        sign_in.attempts = attempt
        sign_in.resend_at_s = time.monotonic() + self._settings.resend_after_s

    async def _submit(self, sign_in: SignIn, submission_id: str, code: str) -> None:
        is_new = submission_id not in sign_in.tries
        sign_in.submissions.add(submission_id)
        sign_in.tries.add(submission_id)
        try:
            await self._emitter.emit(events.submitted(sign_in.id, submission_id, sign_in.email, code))
        except EmitError:
            sign_in.tries -= {submission_id} if is_new else set()
            sign_in.notice = "unavailable"
            return

        sign_in.tries.add(submission_id)  # a second click may have failed meanwhile
        await sign_in.wait_for_result(self._settings.verdict_within_s)
        sign_in.notice = "not_the_code"

    async def _resend(self, request: Request, sign_in: SignIn, form: dict[str, str]) -> None:
        if time.monotonic() < sign_in.resend_at_s:
            sign_in.notice = "too_early"
            return

        sign_in.used_forms.add(form["form"])
        sign_in.resend_at_s = time.monotonic() + self._settings.resend_after_s
        try:
            await self._request(request, sign_in, form)
        except EmitError:
            sign_in.notice = "unavailable"
        else:
            sign_in.notice = "sent_again"

    def _open_session(self, request: Request, sign_in: SignIn) -> Response:
        """Open the session of a sign-in, one only: the same again if the first answer was lost on its way."""
        sign_in.session = sign_in.session or self._sessions.open(sign_in.account, sign_in.email)
        before = self._cookies.get(request, "session")
        if before != sign_in.session:
            self._sessions.close(before)

        response = _see_other("/")
        self._cookies.set(response, "session", sign_in.session)
        return response

    def _sign_in(self, request: Request) -> SignIn | None:
        return self._sign_ins.find(request.path_params["handle"], self._cookies.browser(request))

    async def _posted(self, request: Request) -> tuple[SignIn, dict[str, str]]:
        """Return the sign-in that a form is for. Raises ``HTTPException`` if the form is not this browser's."""
        form = await _read_form(request)
        sign_in = self._sign_in(request)
        subject = self._forms.subject("code", form.get("form", ""), self._cookies.browser(request))

        if sign_in is None or subject != sign_in.handle:
            raise HTTPException(303, headers={"location": "/"})
        return sign_in, form

    def _test_token(self, signin_id: str) -> str:
        return self._settings.test_token.format(signin_id=signin_id, random=secrets.token_hex(8))

    def _start(
        self, request: Request, *, email: str = "", notice: str = "", status: int = 200, signin_id: str = ""
    ) -> Response:
        """Return the first page, with an id for the sign-in that the form begins. Nothing is kept until it is posted.

        The id is drawn first, because Turnstile's widget binds its token to it.
        """
        browser = self._cookies.browser(request) or new_browser()
        signin_id = signin_id or secrets.token_urlsafe(16)
        form = self._forms.token("start", browser, signin_id)

        response = self._page(request, "start.html", status, form=form, signin_id=signin_id, email=email, notice=notice)
        self._cookies.set(response, "browser", browser)
        return response

    def _page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        language = language_of(request)
        shared = {"language": language, "languages": LANGUAGES.values(), "t": language.text}
        site_key = self._settings.site_key

        response = self._templates.TemplateResponse(
            request, template, {**shared, "site_key": site_key, **context}, status
        )
        if "lang" in request.query_params:
            response.set_cookie("lang", language.code, secure=self._settings.is_secure, httponly=True, samesite="lax")
        return response


async def _read_form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise HTTPException(413)

    fields = parse_qs(body.decode(errors="replace"))
    return {name: values[0] for name, values in fields.items()}


def _ip_address(request: Request) -> str:
    """Return the person's address, empty if it is none: some proxies hand on whatever a visitor claims."""
    host = request.client.host if request.client else ""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))  # without a zone, which can be any text
    except ValueError:
        return ""


def _as_digits(code: str) -> str:
    """Return a code as typed, but with Western digits for those of any script."""
    return "".join(str(unicodedata.decimal(sign, sign)) for sign in code.strip())


def _see_other(path: str) -> Response:
    return RedirectResponse(path, 303)
