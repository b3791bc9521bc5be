"""Guesses: many at once, over many sign-ins, over many accounts."""

import asyncio
from collections import Counter
from typing import Final

from tests.redteam.attack import Attack, Count
from tests.redteam.dump import compares_in_histories
from tests.redteam.scene import Scene, network, wrong

_SIGN_INS: Final = 20
_ACCOUNTS: Final = 10
_ROUNDS: Final = 3
_TRIES: Final = "SIGNIN_OTP__MAX_ATTEMPTS"


async def at_once(scene: Scene) -> list[Count]:
    """Submit wrong codes for one sign-in, all at once, and the right one behind them."""
    victim = scene.address()
    signin_id, code = await scene.code(victim)
    tries = await scene.flood(signin_id, victim, [*wrong(code, scene.size.flood - 1), code])
    most = scene.policy.otp.max_attempts
    await scene.heard([signin_id], most + 2)
    await scene.done()
    kinds = await scene.kinds(signin_id)

    assert "signin.failed too_many_attempts" in kinds, kinds

    return [
        Count(
            tried="codes for one sign-in at once, the right one last",
            tries=tries,
            through=await scene.compares([signin_id]),
            what="compares, by the results",
            at_most=most,
            bound=_TRIES,
        ),
        Count(
            tried="the same",
            tries=tries,
            through=await compares_in_histories(scene, victim),
            what="compares, by the history of the mailbox",
            at_most=most,
            bound=_TRIES,
        ),
    ]


async def over_sign_ins(scene: Scene) -> list[Count]:
    """Open many sign-ins of one account side by side, from two networks, and guess at each."""
    victim = scene.address()
    most = scene.policy.otp.max_attempts
    opening = (scene.ask(victim, ip=network(number % 2)) for number in range(_SIGN_INS))
    signin_ids = await asyncio.gather(*opening)
    await scene.heard(signin_ids)
    said = await scene.said()
    opened = [one for one in signin_ids if said[one][0].kind == "signin.code_sent"]
    guessing = (scene.flood(one, victim, wrong("00000000", most)) for one in opened)
    tries = sum(await asyncio.gather(*guessing))
    await scene.heard(opened, 1 + most)
    compares = await scene.compares(opened)

    assert len(opened) == _SIGN_INS and compares, f"{len(opened)} sign-ins, {compares} compares"

    limits = scene.policy.limits

    return [
        Count(
            tried=f"codes for {len(opened)} sign-ins of one account, {most} each, two networks",
            tries=tries,
            through=compares,
            what="compares in an hour",
            at_most=min(limits.failures_per_hour, limits.failures_per_day),
            bound="SIGNIN_LIMITS__FAILURES_PER_HOUR",
        )
    ]


async def spraying(scene: Scene) -> list[Count]:
    """Guess at many accounts from one network, as far as each lets one."""
    accounts = [scene.address("sprayed") for _ in range(_ACCOUNTS)]
    opened: dict[str, list[str]] = {account: [] for account in accounts}
    tries = 0
    for _ in range(_ROUNDS):
        tries += sum(await asyncio.gather(*(_sprayed(scene, account, opened[account]) for account in accounts)))

    compares = {account: await scene.compares(own) for account, own in opened.items()}
    share = scene.policy.limits.failures_per_day // 2
    chance = sum(compares.values()) / 10**scene.policy.otp.digits

    assert all(compares.values()), Counter(compares.values())

    return [
        Count(
            tried=f"codes for {_ACCOUNTS} accounts from one network",
            tries=tries,
            through=max(compares.values()),
            what=f"compares of the account that was tried most; a hit on any of them: {chance:.1e}",
            at_most=share,
            bound="half of SIGNIN_LIMITS__FAILURES_PER_DAY an account; none over all accounts: that is upstream's",
        )
    ]


async def _sprayed(scene: Scene, account: str, opened: list[str]) -> int:
    """Open a sign-in and guess; return how often."""
    signin_id = await scene.ask(account)
    opened.append(signin_id)
    await scene.heard([signin_id])
    if (await scene.kinds(signin_id))[0] != "signin.code_sent":
        return 0

    tries = await scene.flood(signin_id, account, wrong("00000000", scene.policy.otp.max_attempts))
    await scene.heard([signin_id], 1 + tries)

    return tries


ATTACKS = (
    Attack("guesses-at-once", "S3", at_once, short=True),
    Attack("spraying", "S4, S5", spraying),
)
MANY_SENDS = (Attack("guesses-over-sign-ins", "S4", over_sign_ins),)
