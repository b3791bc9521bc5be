"""What happens in a simulation, drawn from its seed: people, mishaps, and then peace."""

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tests.simulation.workflows import people
from tests.simulation.workflows.consumers import Reading
from tests.simulation.workflows.mishaps import MISHAPS
from tests.simulation.workflows.mood import Mood
from tests.simulation.workflows.outside import Weather
from tests.simulation.workflows.simulated_client import Calls

if TYPE_CHECKING:
    from tests.simulation.workflows.world import World

_AT_REST_AFTER_S: Final = 1_500.0
"""Long enough for every sign-in to end, and for every result to be published."""

_USUAL_WEATHER: Final = {"mail_later": 0.03, "mail_never": 0.03, "mail_unanswered": 0.02, "kafka_unanswered": 0.01}
_ACTS: Final[Mapping[people.Move, int]] = {
    people.visit: 20,
    people.sign_in: 12,
    people.send_again: 14,
    people.type_right: 20,
    people.type_wrong: 20,
    people.type_for_another: 6,
    people.type_before_asking: 8,
    people.type_under_one_id: 4,
    people.clear_limits: 4,
    people.clear_for_another: 1,
    people.guess: 6,
    people.flood: 1,
}
"""What people do, and how often."""


def storm(world: "World", rng: random.Random) -> None:
    """Let people and mishaps come at random for a while."""
    for _ in range(rng.randint(1, 3)):
        world.hire()
    world.outside.weather = Weather(**_USUAL_WEATHER)
    lasts_s = rng.choice((5.0, 60.0, 60.0, 400.0, 400.0, 4_000.0, 150_000.0))
    world.move(0.0, people.sign_in, rng.getrandbits(64))
    for act in rng.choices(list(_ACTS), list(_ACTS.values()), k=rng.randint(3, 10)):
        world.move(rng.uniform(0, lasts_s), act, rng.getrandbits(64))

    if rng.random() < 0.9:
        for _ in range(rng.randint(1, 6)):
            after_s = rng.choice((0.0, rng.uniform(0, lasts_s)))
            world.move(after_s, rng.choice(MISHAPS), rng.getrandbits(64))

    world.agenda.run(lasts_s)
    make_peace(world)


def make_peace(world: "World") -> None:
    """End all that goes wrong, and have a worker."""
    world.story.add("peace")
    world.ledger.calm_since = world.agenda.now
    world.agenda.later(_AT_REST_AFTER_S, world.check_releases)
    world.temporal.pauses.mood = Mood()
    world.outside.weather = Weather()
    world.client.calls = Calls()
    world.consumers.reading = Reading(again=0.0)
    world.consumers.come_back()
    world.is_peace = True
    world.is_staffed = True
    for worker in world.workers:
        worker.thaw()
    world.staff()
