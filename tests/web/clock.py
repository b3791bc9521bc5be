"""The page's clock, which a test puts forward."""

import time
from typing import Final

import pytest

_MODULES: Final = ("web_login.pages", "web_login.sessions", "web_login.sign_ins", "itsdangerous.timed")


class Clock:
    """Takes the place of the module ``time`` in the page, and in the library that stamps its forms."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead_s = 0.0
        for module in _MODULES:
            monkeypatch.setattr(f"{module}.time", self)

    def forward(self, seconds: float) -> None:
        """Put the clock forward."""
        self._ahead_s += seconds

    def monotonic(self) -> float:
        """Return the time that deadlines are measured by."""
        return time.monotonic() + self._ahead_s

    def time(self) -> float:
        """Return the time that forms are stamped with."""
        return time.time() + self._ahead_s
