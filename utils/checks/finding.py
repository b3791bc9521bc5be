"""What a check reports: one finding for each thing that it looked at."""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """How one thing stands. If it is not ``ok``, ``fix`` says what to do and ``exit_code`` how the command ends.

    One that is ``ok`` but has a ``fix``, or ``warns``, is a warning: it works, and could be better.
    """

    name: str
    ok: bool
    text: str
    fix: str | None = None
    exit_code: int = os.EX_UNAVAILABLE
    warns: bool = False

    def line(self) -> str:
        """Return it as a line for people."""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return f"{self.verdict:4} {self.name}: {self.text}{fix}"

    @property
    def verdict(self) -> str:
        """Return it as a word."""
        if not self.ok:
            return "FAIL"
        return "warn" if self.warns or self.fix else "ok"

    def entry(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"name": self.name, "ok": self.ok, "text": self.text, "fix": self.fix, "verdict": self.verdict.lower()}


Probe = Callable[[], Awaitable[Sequence[Finding]]]
