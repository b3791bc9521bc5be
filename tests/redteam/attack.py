"""What an attack is, and running one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.redteam.scene import Scene

_WITHIN_S: Final = 1_200


@dataclass(frozen=True)
class Count:
    """What was tried, how often, what got through, and how much of that may: ``bound`` says by which rule."""

    tried: str
    tries: int
    through: float
    what: str
    at_most: float
    bound: str

    @property
    def holds(self) -> bool:
        """Whether no more got through than may."""
        return self.through <= self.at_most


@dataclass(frozen=True)
class Attack:
    """One attack. ``why`` names the requirements it is aimed at; ``short`` ones run in ``make test`` too."""

    name: str
    why: str
    attempt: Callable[[Scene], Awaitable[Sequence[Count]]]
    short: bool = False


@dataclass
class Finding:
    """What an attack showed. ``problems``: why its counts mean nothing."""

    name: str
    why: str
    counts: Sequence[Count] = ()
    problems: list[str] = field(default_factory=list)
    took_s: float = 0

    @property
    def holds(self) -> bool:
        """Whether all went as it has to, and no more got through than may."""
        return bool(self.counts) and not self.problems and all(count.holds for count in self.counts)

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "why": self.why,
            "holds": self.holds,
            "counts": [{**vars(count), "holds": count.holds} for count in self.counts],
            "trouble": self.problems,
            "took_s": round(self.took_s, 1),
        }


async def run(attack: Attack, scene: Scene) -> Finding:
    """Try an attack. Whatever goes wrong is in the finding."""
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
