"""The real workflows in a simulated world: their stories, and what they reach."""

import random

from tests.simulation.workflows import mishaps, people
from tests.simulation.workflows.half import HALF
from tests.simulation.workflows.plots import make_peace, storm
from tests.simulation.workflows.world import World, simulate


def test_the_same_seed_tells_the_same_story() -> None:
    """Event by event, with the same times, whether or not anybody asks for the story."""
    first = HALF.tell(3)

    assert first.story == HALF.tell(3).story
    assert first.digest == simulate(3, storm).story.digest != simulate(4, storm).story.digest


def test_a_task_is_done_again_after_a_worker_died() -> None:
    """What its local activities did is done twice, and nobody outside can tell."""

    def plot(world: World, _: random.Random) -> None:
        world.hire()
        world.hire()
        world.temporal.pauses.mood.crashes = 0.4
        world.move(0.0, people.visit, 4)
        world.agenda.run(90.0)
        make_peace(world)

    result = simulate(5, plot)

    assert result.violations == []
    assert result.story.kinds["task done again"] > 0
    assert result.story.kinds["worker killed"] > 0


def test_a_mailbox_moves_to_another_release() -> None:
    """It continues as new under the release that is promoted, whose workflows give other commands."""

    def plot(world: World, rng: random.Random) -> None:
        world.hire()
        world.move(0.0, people.visit, 4)
        world.agenda.run(5.0)
        mishaps.roll_out(world, rng)
        world.agenda.run(20.0)
        world.move(0.0, people.visit, 7)
        world.agenda.run(90.0)
        make_peace(world)

    result = simulate(5, plot)

    assert result.violations == []
    assert result.story.kinds["release promoted"] > 0
    assert result.story.kinds["continue as new"] > 0


def test_moves_can_be_left_out() -> None:
    """What is left of a story depends on no move that was left out."""
    assert simulate(3, storm, skipped=range(1, 100)).story.kinds["request"] == 0


def test_a_seed_without_violation_shrinks_to_nothing_needed() -> None:
    """Then every move is needed: no story without one shows a violation."""
    verdict = HALF.shrink(3)

    assert verdict.violations == []
    assert verdict.story[-1].endswith("moves are needed")
