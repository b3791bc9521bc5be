"""Who is signed in. In memory, as the sign-ins are."""

import secrets
import time
from dataclasses import dataclass
from typing import Final

_LIFETIME_S: Final = 12 * 3600


@dataclass(frozen=True)
class Session:
    """``account`` is the worker's pseudonym: the key of your table of users."""

    account: str
    email: str
    ends_s: float


class Sessions:
    """Sessions by their secret name, which only a cookie holds."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def open(self, account: str, email: str) -> str:
        """Open a session and return its name, a new one every time: nobody can have planted it."""
        self._forget_ended()
        name = secrets.token_urlsafe(32)
        self._sessions[name] = Session(account, email, time.monotonic() + _LIFETIME_S)
        return name

    def find(self, name: str) -> Session | None:
        """Return a session that has not ended."""
        session = self._sessions.get(name)
        if session is not None and session.ends_s < time.monotonic():
            self.close(name)
            return None
        return session

    def close(self, name: str) -> None:
        """End a session. May be called again."""
        self._sessions.pop(name, None)

    def _forget_ended(self) -> None:
        """Forget sessions whose cookies did not come back. All last equally long, so the oldest end first."""
        now_s = time.monotonic()
        while self._sessions and next(iter(self._sessions.values())).ends_s < now_s:
            del self._sessions[next(iter(self._sessions))]
