"""The recorded history of a case: a file that only grows, and that a second program judges."""

import asyncio
import hmac
import json
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.local.places import PROJECT


class History:
    """Appends lines to a file of its own. Addresses, codes and contents become keyed digests; nobody keeps the key."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._key = secrets.token_bytes(32)
        self._lines = 0
        self._file = path.open("w", encoding="utf-8")

    @property
    def closed(self) -> bool:
        """Whether the history is complete."""
        return self._file.closed

    def append(self, kind: str, **members: Any) -> None:
        """Append a line. Members without a value are left out."""
        known = {name: value for name, value in members.items() if value is not None}
        self._file.write(json.dumps({"kind": kind, **known}) + "\n")
        self._lines += 1

    def fault(self, name: str) -> None:
        """Append that a fault is injected now."""
        self.append("fault", at=time.time(), name=name)

    def close(self) -> None:
        """Append the last line, which says how many there are."""
        self.append("closed", lines=self._lines)
        self._file.close()

    def digest(self, content: bytes | str | None) -> str:
        """Return a digest that is the same only for the same content. Nothing differs from an empty content."""
        if content is None:
            return "none"

        content = content.encode() if isinstance(content, str) else content
        return hmac.digest(self._key, content, "sha256").hex()[:32]


@dataclass(frozen=True)
class SecondOpinion:
    """What the second program found. ``lines`` counts what it has read, by kind."""

    lines: Mapping[str, int]
    sign_ins: int
    repeats: Mapping[str, int]
    violations: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return it as a member of ``docs/faults.json``."""
        return asdict(self)


async def judged(path: Path) -> SecondOpinion:
    """Let the second program judge a history. Raises ``RuntimeError`` if it cannot read it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.history_check", str(path), "--json"),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    if process.returncode not in (0, 1):
        raise RuntimeError(f"the history cannot be judged: {errors.decode().strip()}")

    found = json.loads(output)
    violations = ["history: {rule}: {where}: {text}".format(**one) for one in found["violations"]]
    if not violations and process.returncode:
        violations.append(f"history: the second program ended with {process.returncode}")

    return SecondOpinion(found["lines"], found["sign_ins"], found["repeats"], violations)
