"""Writes a little, in moves that can be left out."""

import asyncio
import random

from tests.simulation.consumer.world import World


async def write(world: World, rng: random.Random, times: int) -> None:
    """Write so many times a few events, one soon after the other."""
    for _ in range(times):
        write_at_once(world, rng, 1)
        await asyncio.sleep(0.05 * rng.random())


def write_at_once(world: World, rng: random.Random, times: int) -> None:
    """Write so many times a few events, before anybody can read the first."""
    for _ in range(times):
        world.move(lambda world: world.emitter.write(world.rng.getrandbits(64)), rng.getrandbits(64))
