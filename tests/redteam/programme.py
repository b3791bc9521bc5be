"""All attacks, in the order of the report, grouped by the settings of the worker that they attack."""

from collections.abc import AsyncIterator, Collection
from typing import Final, NamedTuple

from tests.faults.servers import Servers
from tests.redteam.attack import Attack, Finding, run
from tests.redteam.attacks import (
    addresses,
    challenges,
    floods,
    guesses,
    locks,
    mails,
    oracles,
    records,
    sign_ins,
    traces,
    years,
)
from tests.redteam.scene import Size, open_scene

FULL: Final = Size()
SHORT: Final = Size(flood=60, junk=120, others=3, challenge_s=3, days=0)

# The fault programme's stage relaxes some settings, since faults take long. This restores the worker's defaults.
_DEFAULTS: Final = {
    "SIGNIN_OTP__LIFETIME_S": "300",
    "SIGNIN_OTP__SHORTEST_RESEND_S": "60",
    "SIGNIN_LIMITS__SEND_COOLDOWN_S": "60",
    "SIGNIN_MAX_EVENT_AGE_S": "300",
    "SIGNIN_TIMES__FIRST_ATTEMPT_WAIT_S": "60",
    "SIGNIN_LOG__LEVEL": "debug",
}


class Group(NamedTuple):
    """Attacks on one worker, and its settings besides the defaults."""

    settings: dict[str, str]
    attacks: tuple[Attack, ...]


_WITH_DEFAULTS: Final = (
    *mails.ATTACKS,
    *guesses.ATTACKS,
    *sign_ins.ATTACKS,
    *floods.ATTACKS,
    *locks.ATTACKS,
    *addresses.ATTACKS,
    *challenges.ATTACKS,
    *oracles.ATTACKS,
    *records.ATTACKS,
    *years.ATTACKS,
    *traces.ATTACKS,  # last, because they search everything that the others left behind
)
_MANY_SENDS: Final = {"SIGNIN_LIMITS__SENDS_PER_HOUR": "20"}
_MANY_FAILURES: Final = {**_MANY_SENDS, "SIGNIN_LIMITS__FAILURES_PER_HOUR": "20"}

GROUPS: Final = (
    Group({}, _WITH_DEFAULTS),
    Group(_MANY_SENDS, (*guesses.MANY_SENDS, *addresses.MANY_SENDS)),
    Group(_MANY_FAILURES, locks.MANY_SENDS),
    Group({"SIGNIN_LIMITS__MAILS_PER_SECOND": "2"}, mails.DRAINING),
)
NAMES: Final = tuple(attack.name for group in GROUPS for attack in group.attacks)
SELECTED: Final = tuple(attack.name for group in GROUPS for attack in group.attacks if attack.short)


async def findings(servers: Servers, size: Size, names: Collection[str]) -> AsyncIterator[Finding]:
    """Run these attacks one after the other and yield their findings."""
    for group in GROUPS:
        attacks = [attack for attack in group.attacks if attack.name in names]
        if not attacks:
            continue

        settings = {
            **_DEFAULTS,
            "SIGNIN_TIMES__CHALLENGE_S": str(size.challenge_s),
            **group.settings,
        }
        async with open_scene(servers, size, settings) as scene:
            for attack in attacks:
                yield await run(attack, scene)
