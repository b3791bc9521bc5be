"""Defines an attack, runs it and records the finding."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.redteam.scene import Scene

_WITHIN_S: Final = 1_200


@dataclass(frozen=True)
class Count:
    """What was tried, how often, and how much got through: at most ``at_most`` may, because of ``bound``."""

    tried: str
    tries: int
    through: float
    what: str
    at_most: float
    bound: str

    @property
    def holds(self) -> bool:
        """Whether no more got through than is allowed."""
        return self.through <= self.at_most


@dataclass(frozen=True)
class Attack:
    """One attack. ``why`` names the requirements that it tests; ``short`` attacks also run in ``make test``."""

    name: str
    why: str
    attempt: Callable[[Scene], Awaitable[Sequence[Count]]]
    short: bool = False


@dataclass
class Finding:
    """The result of an attack. ``problems`` say why its counts are meaningless."""

    name: str
    why: str
    counts: Sequence[Count] = ()
    problems: list[str] = field(default_factory=list)
    took_s: float = 0

    @property
    def holds(self) -> bool:
        """Whether the attack ran without problems, and no more got through than is allowed."""
        return bool(self.counts) and not self.problems and all(count.holds for count in self.counts)

    def as_json(self) -> dict[str, Any]:
        """Return the finding as a member of ``docs/redteam.json``."""
        return {
            "why": self.why,
            "holds": self.holds,
            "counts": [{**vars(count), "holds": count.holds} for count in self.counts],
            "trouble": self.problems,
            "took_s": round(self.took_s, 1),
        }


async def run(attack: Attack, scene: Scene) -> Finding:
    """Run an attack. The finding includes whatever went wrong."""
    finding = Finding(attack.name, attack.why)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(_WITHIN_S):
            finding.counts = await attack.attempt(scene)
        scene.assert_alive()
    except Exception as error:  # one attack must not end the programme
        finding.problems.append(f"{type(error).__name__}: {error}")

    finding.took_s = time.monotonic() - begun

    return finding
