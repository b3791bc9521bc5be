"""Low and slow: a year of guessing at the allowed rate."""

import itertools
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from schemas.policy import LimitPolicy, Policy
from tests.fakes.mailbox_world import RIGHT, MailboxWorld
from tests.fakes.stage import ADA, Stage
from tests.fakes.time_skipping import time_skipping_server
from tests.fakes.waiting import until
from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene, network, wrong_codes
from utils.settings.guesses import guess_probability
from workflows.rules.jobs import CompareCode

_HOUR_S: Final = 3_600
_DAY_S: Final = 24 * _HOUR_S
_YEAR: Final = 365
_NEVER_LOCKED: Final = 10**9
_BURSTS: Final = (False, False, True)
"""The sign-ins per hour: two from strangers in different networks, and one from a trusted device."""


async def guess_for_a_year(scene: Scene) -> list[Count]:
    """Drive the rules directly through a year, hour by hour, and use every try that they allow."""
    policy = scene.policy
    compares, tries = guess_by_rules(policy, _YEAR)
    tried = "codes in a year of guessing, by the rules of the mailbox"
    real = _count(policy, compares, tries, tried, _YEAR)

    lenient = policy.model_copy(update={"limits": _without_lock(policy.limits)})
    compares, tries = guess_by_rules(lenient, _YEAR)
    tried = "the same, without the lock after 100 failures in a row"
    without_lock = _count(lenient, compares, tries, tried, _YEAR)

    compares, tries = guess_by_rules(policy, _YEAR, owner_signs_in=True)
    tried = "the same, while the owner signs in every hour, as far as the attacker lets them"
    with_owner = _count(policy, compares, tries, tried, _YEAR)

    return [real, without_lock, with_owner]


async def guess_for_some_days(scene: Scene) -> list[Count]:
    """Drive the real workflow on Temporal's time-skipping server through some days, and compare it with the rules."""
    days = scene.size.days
    by_rules, _ = guess_by_rules(scene.policy, days)
    async with time_skipping_server() as environment:
        address = environment.client.service_client.config.target_host
        client = await Client.connect(address, data_converter=pydantic_data_converter)
        compares, tries = await _guess_at_the_workflow(client, environment, days, scene.policy)

    assert compares == by_rules, f"{compares} compares of the workflow, {by_rules} by the rules"

    return [_count(scene.policy, compares, tries, f"codes in {days} days, on a time-skipping server", days)]


def guess_by_rules(policy: Policy, days: int, *, owner_signs_in: bool = False) -> tuple[int, int]:
    """Return how many compares an attacker gets in ``days`` days, and how many codes that took."""
    world = MailboxWorld(policy)
    compares = tries = 0
    for hour in range(24 * days):
        if owner_signs_in:
            owner = world.mailed_sign_in(trusted=True)
            world.submit(owner, RIGHT)
            world.run_jobs()

        for number, trusted in enumerate(_BURSTS):
            signin_id = world.sign_in(network=network(len(_BURSTS) * hour + number), trusted=trusted)
            world.run_jobs()
            for _ in range(policy.otp.max_attempts):
                tries += 1
                world.submit(signin_id, "wrong")
                compares += _compared(world)
        world.published.clear()
        world.wait(_HOUR_S)

    return compares, tries


def _compared(world: MailboxWorld) -> int:
    """Run all jobs; return how many of them were compares."""
    compares = 0
    while world.take_jobs() or world.jobs:
        compares += isinstance(world.jobs[0], CompareCode)
        world.finish(world.jobs[0])
    return compares


async def _guess_at_the_workflow(
    client: Client, environment: WorkflowEnvironment, days: int, policy: Policy
) -> tuple[int, int]:
    numbers = itertools.count()
    tries = 0
    async with Stage(client, environment.get_current_time, policy).working() as stage:
        for _ in range(24 * days):
            for trusted in _BURSTS:
                about = {"ip": network(next(numbers)), "trusted_device": trusted}
                tries += await _burst(stage, about, policy.otp.max_attempts)
            await environment.sleep(timedelta(seconds=_HOUR_S))
        compares = [one for one in stage.publisher.published if getattr(one.result, "reason", "") == "wrong_code"]
        return len(compares), tries


async def _burst(stage: Stage, about: dict[str, str | bool], max_attempts: int) -> int:
    """Open a sign-in and guess until it ends; return the number of guesses."""
    handle = await stage.request(client=about)
    await handle.result()
    signin_id = handle.id.split("/")[1]
    await until(lambda: stage.outcomes(signin_id))
    if stage.outcomes(signin_id) != ["signin.code_sent"]:
        return 0

    for code in wrong_codes(stage.code(ADA), max_attempts):
        await stage.submit(signin_id, code)

    await until(lambda: len(stage.outcomes(signin_id)) > max_attempts)

    return max_attempts


def _without_lock(limits: LimitPolicy) -> LimitPolicy:
    return limits.model_copy(update={"failures_in_a_row": _NEVER_LOCKED})


def _count(policy: Policy, compares: int, tries: int, tried: str, days: int) -> Count:
    limits = policy.limits
    a_day = limits.failures_per_day + limits.trusted_failures_per_day
    chance = guess_probability(digits=policy.otp.digits, tries_per_day=a_day)

    return Count(
        tried=tried,
        tries=tries,
        through=compares,
        what=f"compares, a chance of {compares / 10**policy.otp.digits:.1e} of a hit; {chance:.1e} a year is allowed",
        at_most=a_day * days,
        bound="SIGNIN_LIMITS__FAILURES_PER_DAY and __TRUSTED_FAILURES_PER_DAY, every day",
    )


ATTACKS = (
    Attack("a-year-of-guessing", "S4, S18", guess_for_a_year),
    Attack("days-of-guessing", "S4, S18", guess_for_some_days),
)
