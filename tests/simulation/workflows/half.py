"""The workflow half, as ``python -m tests.simulation`` runs it."""

from collections.abc import Collection

from tests.simulation.shrinking import shrink
from tests.simulation.verdicts import Verdict
from tests.simulation.workflows.plots import storm
from tests.simulation.workflows.world import simulate


def run_seed(seed: int) -> Verdict:
    """Run one seed."""
    return _verdict(seed, told=False)


def tell_seed(seed: int) -> Verdict:
    """Run one seed, and keep its story."""
    return _verdict(seed, told=True)


def shrink_seed(seed: int) -> Verdict:
    """Leave out what a seed's violation does not need, and keep the story of the rest."""
    moves = simulate(seed, storm).moves
    needless = shrink(range(1, moves + 1), lambda skipped: bool(simulate(seed, storm, skipped=skipped).violations))
    verdict = _verdict(seed, told=True, skipped=needless)
    verdict.story.append(f"{moves - len(needless)} of {moves} moves are needed")

    return verdict


def _verdict(seed: int, told: bool, skipped: Collection[int] = frozenset()) -> Verdict:
    result = simulate(seed, storm, told, skipped)
    story = [str(happening) for happening in result.story.happenings]

    return Verdict(seed, result.violations, result.story.kinds, result.simulated_s, result.story.digest, story)
