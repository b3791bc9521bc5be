"""What both halves of the simulation have in common: what a seed gives, and what can be done with one."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from tests.simulation.shrinking import shrink
from tests.simulation.story import Story
from tests.simulation.verdicts import Verdict


@dataclass(frozen=True)
class Result:
    """What became of one seed."""

    seed: int
    violations: list[str]
    story: Story
    simulated_s: float
    moves: int


@dataclass(frozen=True)
class Half:
    """One half: how it simulates a seed, and the plot that it plays. Processes can pass it on."""

    simulate: Callable[[int, Any, bool, Collection[int]], Result]
    plot: Callable[..., Any]

    def run(self, seed: int) -> Verdict:
        """Run one seed."""
        return self._verdict(seed, told=False)

    def tell(self, seed: int) -> Verdict:
        """Run one seed, and keep its story."""
        return self._verdict(seed, told=True)

    def shrink(self, seed: int) -> Verdict:
        """Leave out what a seed's violation does not need, and keep the story of the rest."""
        moves = self.simulate(seed, self.plot, False, ()).moves
        needless = shrink(
            range(1, moves + 1), lambda skipped: bool(self.simulate(seed, self.plot, False, skipped).violations)
        )
        verdict = self._verdict(seed, told=True, skipped=needless)
        verdict.story.append(f"{moves - len(needless)} of {moves} moves are needed")

        return verdict

    def _verdict(self, seed: int, *, told: bool, skipped: Collection[int] = ()) -> Verdict:
        result = self.simulate(seed, self.plot, told, skipped)
        verdict = Verdict(seed, result.violations, result.story.kinds, result.simulated_s)
        if not told:
            return verdict

        story = [str(happening) for happening in result.story.happenings]
        return replace(verdict, digest=result.story.digest, story=story)
