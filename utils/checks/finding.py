"""What a check reports: one finding for each thing that it looked at."""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Finding:
    """One thing that works or does not. ``text`` says what is wrong, ``fix`` what to do about it.

    A finding that is not ``ok`` ends the command with ``exit_code``. One that is ``ok`` but
    has a ``fix``, or ``warns``, is a warning: it works, but could be better.
    """

    name: str
    ok: bool
    text: str
    fix: str | None = None
    exit_code: int = os.EX_UNAVAILABLE
    warns: bool = False

    @classmethod
    def passed(cls, name: str, text: str) -> Self:
        """Return a finding that all is well."""
        return cls(name, True, text)

    @classmethod
    def warning(cls, name: str, text: str, fix: str) -> Self:
        """Return a finding of something that works, but could be better."""
        return cls(name, True, text, fix)

    @classmethod
    def failed(cls, name: str, text: str, fix: str, exit_code: int = os.EX_UNAVAILABLE) -> Self:
        """Return a finding of something that does not work."""
        return cls(name, False, text, fix, exit_code)

    @property
    def verdict(self) -> str:
        """``ok``, ``warn`` or ``FAIL``."""
        if not self.ok:
            return "FAIL"
        return "warn" if self.warns or self.fix else "ok"

    def line(self) -> str:
        """Return the finding as a line of text."""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return f"{self.verdict:4} {self.name}: {self.text}{fix}"

    def entry(self) -> dict[str, Any]:
        """Return the finding for JSON."""
        return {
            "name": self.name,
            "ok": self.ok,
            "text": self.text,
            "fix": self.fix,
            "verdict": self.verdict.lower(),
        }


Probe = Callable[[], Awaitable[Sequence[Finding]]]
"""Checks one dependency."""
