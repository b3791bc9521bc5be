"""The consumer half, as ``python -m tests.simulation`` runs it."""

from typing import Final

from tests.simulation.consumer.plots import storm
from tests.simulation.consumer.world import simulate
from tests.simulation.verdicts import Verdict

STORIES: Final = "the real consumer and aiokafka against a scripted cluster and a model of Temporal"


def run_seed(seed: int) -> Verdict:
    """Run one seed."""
    return _verdict(seed, told=False)


def tell_seed(seed: int) -> Verdict:
    """Run one seed, and keep its story."""
    return _verdict(seed, told=True)


def _verdict(seed: int, told: bool) -> Verdict:
    result = simulate(seed, storm, told)
    story = [str(happening) for happening in result.story.happenings]

    return Verdict(seed, result.violations, result.story.kinds, result.simulated_s, result.story.digest, story)
