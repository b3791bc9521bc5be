"""What keeps others out: cookies, signed forms, the check of the origin, and the headers of each response."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from web_login.settings import Settings

FORM_LIFETIME_S: Final = 3600
_BROWSER_BYTES: Final = 16
_BROWSER: Final = re.compile(r"[\w-]{22}", re.ASCII)  # that many bytes in base64
_TURNSTILE: Final = "https://challenges.cloudflare.com"

Purpose = Literal["start", "code"]
"""What a form is for: to begin the sign-in whose id is the subject, or to go on with the one of this handle."""


class Cookies:
    """Cookies that no script, no other site and no other host of the domain can set or read.

    On the loopback interface without TLS they lack prefix and ``Secure``, which Safari refuses there.
    """

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self._prefix = "__Host-" if secure else ""

    def get(self, request: Request, name: str) -> str:
        """Return a cookie, empty if there is none."""
        return request.cookies.get(self._prefix + name, "")

    def browser(self, request: Request) -> str:
        """Return the cookie that sign-ins are bound to, empty if there is none, or one that is not of our making."""
        found = self.get(request, "browser")
        return found if _BROWSER.fullmatch(found) else ""

    def set(self, response: Response, name: str, value: str) -> None:
        """Set a cookie until the browser is closed."""
        response.set_cookie(self._prefix + name, value, secure=self._secure, httponly=True, samesite="lax")

    def delete(self, response: Response, name: str) -> None:
        """Delete a cookie."""
        response.delete_cookie(self._prefix + name, secure=self._secure, httponly=True, samesite="lax")


def new_browser() -> str:
    """Return a value for the cookie that sign-ins are bound to."""
    return secrets.token_urlsafe(_BROWSER_BYTES)


class Forms:
    """Tokens in forms. Each is for one purpose, subject and cookie, so no other site can make up or replay a form.

    The cookie is part of the key, so that no page shows what only the browser should hold.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def token(self, purpose: Purpose, cookie: str, subject: str) -> str:
        """Return a token that differs from all others. Its form can read the subject, which is signed, not hidden."""
        return str(self._signer(purpose, cookie).dumps([subject, secrets.token_urlsafe(8)]))

    def subject(self, purpose: Purpose, token: str, cookie: str) -> str | None:
        """Return what the token is for; ``None`` if it is forged, too old, or for another purpose or cookie."""
        try:
            subject, _ = self._signer(purpose, cookie).loads(token, max_age=FORM_LIFETIME_S)
        except BadData:
            return None
        return str(subject) if cookie else None

    def submission_id(self, token: str, code: str) -> str:
        """Return an id for a code typed into a form.

        A form posted twice with one code is one submission, which costs one try. After the back
        button, the same form with another code is another.
        """
        return hmac.new(self._secret.encode(), f"{token} {code}".encode(), hashlib.sha256).hexdigest()[:32]

    def _signer(self, purpose: Purpose, cookie: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._secret, salt=f"{purpose} form of {cookie}")


def guard(settings: Settings) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    """Return a middleware that refuses posts from other origins, and sets security headers."""
    headers = _headers(settings)

    async def dispatch(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        is_foreign = request.method == "POST" and request.headers.get("origin") != settings.origin
        response = PlainTextResponse("Another site sent this form.", 403) if is_foreign else await call_next(request)

        response.headers.update(headers)
        return response

    return dispatch


def _headers(settings: Settings) -> dict[str, str]:
    widget = f" {_TURNSTILE}" if settings.site_key else ""
    policy = {
        "default-src": "'none'",
        "script-src": f"'self'{widget}",
        "frame-src": widget.strip() or "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    headers = {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "same-origin",  # not no-referrer: browsers would then post with "Origin: null"
        "x-content-type-options": "nosniff",
    }

    return headers | ({"strict-transport-security": "max-age=31536000"} if settings.is_secure else {})
