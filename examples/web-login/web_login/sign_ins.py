"""The sign-ins that are under way, each bound to the browser that asked, and what their results change.

They are kept in memory, so one process serves them all. Several need a common store.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from web_login.security import FORM_LIFETIME_S

State = Literal["waiting", "signed_in", "unreachable", "challenge", "too_many_codes", "expired"]
Notice = Literal["", "not_the_code", "no_code", "sent_again", "too_early", "unavailable"]

_LOG: Final = logging.getLogger("web_login")
_GIVEN_UP_AFTER_S: Final = 60  # after the codes' lifetime; no verdict of use comes later
_MAX_UNDER_WAY: Final = 100_000

# The only reasons that a person is told: they are about what was typed or the browser, never about an account.
_TOLD: Final[Mapping[str, State]] = {
    "invalid_email": "unreachable",
    "undeliverable_email": "unreachable",
    "challenge_failed": "challenge",
    "challenge_unavailable": "challenge",
    "stale": "challenge",
}


class TooManySignIns(Exception):
    """Raised when memory holds no further sign-in."""


@dataclass
class SignIn:
    """One sign-in. ``handle`` names it in URLs: unlike its id, it is worth nothing outside of its browser."""

    id: str
    browser: str
    email: str
    begun_s: float
    handle: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    attempts: int = 0
    resend_at_s: float = 0
    tries: set[str] = field(default_factory=set)  # submissions that Kafka took, as far as we know
    submissions: set[str] = field(default_factory=set)
    used_forms: set[str] = field(default_factory=set)
    notice: Notice = ""
    account: str = ""
    session: str = ""
    rejected: State | None = None
    _seen: set[str] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def apply(self, kind: str, event_id: str, result: Mapping[str, Any]) -> None:
        """Apply a result; a repeat changes nothing.

        Of all results only two change what the person sees, and so what an attacker learns. The
        page counts codes and time itself: a rejected sign-in, which tells nothing, ends alike.
        """
        if event_id in self._seen:
            return
        self._seen.add(event_id)

        if kind == "signin.succeeded" and result["submission_id"] in self.submissions:
            self.account = result["account"]
            self._changed.set()
        elif kind == "signin.rejected" and result["reason"] in _TOLD:
            self.rejected = _TOLD[result["reason"]]
            self._changed.set()

    async def wait_for_result(self, within_s: float) -> None:
        """Return once a result has changed what the person sees, or after ``within_s``."""
        try:
            await asyncio.wait_for(self._changed.wait(), within_s)
        except TimeoutError:
            return


class SignIns:
    """All sign-ins, oldest first. Old ones are forgotten when new ones come.

    Their ids are kept for as long as a form can be posted again: the worker would not begin the
    same sign-in again, so its page would promise a mail that never comes.
    """

    def __init__(self, *, lifetime_s: float, max_codes: int) -> None:
        self._lifetime_s = lifetime_s
        self._max_codes = max_codes
        self._by_id: dict[str, SignIn] = {}
        self._by_handle: dict[str, SignIn] = {}
        self._over: dict[str, float] = {}

    def open(self, signin_id: str, browser: str, email: str) -> SignIn | None:
        """Return the sign-in of this id, a new one the first time; ``None`` if it is over, or another address's."""
        self._forget_old()
        if signin_id in self._over:
            return None
        if len(self._by_id) >= _MAX_UNDER_WAY:
            _LOG.warning("memory holds no further sign-in")
            raise TooManySignIns

        sign_in = self._by_id.setdefault(signin_id, SignIn(signin_id, browser, email, time.monotonic()))
        if (sign_in.browser, sign_in.email) != (browser, email):
            return None
        return self._by_handle.setdefault(sign_in.handle, sign_in)

    def begin(self, sign_in: SignIn) -> None:
        """Start the clock of a sign-in: its first event is safe only now, which may have taken several posts."""
        sign_in.begun_s = time.monotonic()
        for old in (self._by_id, self._over):
            old.pop(sign_in.id, None)

        self._by_id[sign_in.id] = sign_in
        self._by_handle[sign_in.handle] = sign_in

    def find(self, handle: str, browser: str) -> SignIn | None:
        """Return a sign-in, but only to the browser that asked for it: a link is of no use to another."""
        sign_in = self._by_handle.get(handle)
        if sign_in is None or self._is_given_up(sign_in):
            return None
        return sign_in if secrets.compare_digest(sign_in.browser.encode(), browser.encode()) else None

    def apply(self, kind: str, event_id: str, result: Mapping[str, Any]) -> None:
        """Apply a result to its sign-in. One for a sign-in that is not ours, or was given up, is dropped."""
        sign_in = self._by_id.get(result["signin_id"])
        if sign_in is not None and not self._is_given_up(sign_in):
            sign_in.apply(kind, event_id, result)

    def state(self, sign_in: SignIn) -> State:
        """Return what the person is to see."""
        if sign_in.account:
            return "signed_in"
        if sign_in.rejected:
            return sign_in.rejected

        if len(sign_in.tries) >= self._max_codes:
            return "too_many_codes"
        return "expired" if self.remaining_s(sign_in) <= 0 else "waiting"

    def remaining_s(self, sign_in: SignIn) -> float:
        """Return for how long a code can still be typed."""
        return sign_in.begun_s + self._lifetime_s - time.monotonic()

    def _is_given_up(self, sign_in: SignIn) -> bool:
        return self.remaining_s(sign_in) < -_GIVEN_UP_AFTER_S

    def _forget_old(self) -> None:
        while self._by_id and self._is_given_up(oldest := next(iter(self._by_id.values()))):
            del self._by_id[oldest.id], self._by_handle[oldest.handle]
            self._over[oldest.id] = oldest.begun_s + FORM_LIFETIME_S + 1  # forms are stamped with whole seconds

        while self._over and next(iter(self._over.values())) < time.monotonic():
            del self._over[next(iter(self._over))]
