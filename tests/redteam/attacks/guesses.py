"""Guesses: many at once, across many sign-ins, and across many accounts."""

import asyncio
from collections import Counter
from typing import Final

from tests.redteam.attack import Attack, Count
from tests.redteam.dump import compares_in_histories
from tests.redteam.scene import Scene, network, wrong_codes

_SIGN_INS: Final = 20
_ACCOUNTS: Final = 10
_ROUNDS: Final = 3
_TRIES: Final = "SIGNIN_OTP__MAX_ATTEMPTS"


async def guess_at_once(scene: Scene) -> list[Count]:
    """Submit many wrong codes for one sign-in at once, and the right one last."""
    victim = scene.address()
    signin_id, code = await scene.request_code(victim)
    tries = await scene.submit_all(signin_id, victim, [*wrong_codes(code, scene.size.flood - 1), code])
    max_attempts = scene.policy.otp.max_attempts
    await scene.wait_for_results([signin_id], max_attempts + 2)
    await scene.wait_until_done()
    kinds = await scene.result_kinds(signin_id)

    assert "signin.failed too_many_attempts" in kinds, kinds

    return [
        Count(
            tried="codes for one sign-in at once, the right one last",
            tries=tries,
            through=await scene.count_compares([signin_id]),
            what="compares, by the results",
            at_most=max_attempts,
            bound=_TRIES,
        ),
        Count(
            tried="the same",
            tries=tries,
            through=await compares_in_histories(scene, victim),
            what="compares, by the history of the mailbox",
            at_most=max_attempts,
            bound=_TRIES,
        ),
    ]


async def guess_over_sign_ins(scene: Scene) -> list[Count]:
    """Open many parallel sign-ins of one account, from two networks, and guess at each."""
    victim = scene.address()
    max_attempts = scene.policy.otp.max_attempts
    requests = (scene.request(victim, ip=network(number % 2)) for number in range(_SIGN_INS))
    signin_ids = await asyncio.gather(*requests)
    await scene.wait_for_results(signin_ids)
    results = await scene.results()
    opened = [one for one in signin_ids if results[one][0].kind == "signin.code_sent"]
    guessing = (scene.submit_all(one, victim, wrong_codes("00000000", max_attempts)) for one in opened)
    tries = sum(await asyncio.gather(*guessing))
    await scene.wait_for_results(opened, 1 + max_attempts)
    compares = await scene.count_compares(opened)

    assert len(opened) == _SIGN_INS and compares, f"{len(opened)} sign-ins, {compares} compares"

    limits = scene.policy.limits

    return [
        Count(
            tried=f"codes for {len(opened)} sign-ins of one account, {max_attempts} each, from two networks",
            tries=tries,
            through=compares,
            what="compares in an hour",
            at_most=min(limits.failures_per_hour, limits.failures_per_day),
            bound="SIGNIN_LIMITS__FAILURES_PER_HOUR",
        )
    ]


async def spray_accounts(scene: Scene) -> list[Count]:
    """Guess at many accounts from one network, as often as each account allows."""
    accounts = [scene.address("sprayed") for _ in range(_ACCOUNTS)]
    opened: dict[str, list[str]] = {account: [] for account in accounts}
    tries = 0
    for _ in range(_ROUNDS):
        tries += sum(await asyncio.gather(*(_spray(scene, account, opened[account]) for account in accounts)))

    compares = {account: await scene.count_compares(own) for account, own in opened.items()}
    share = scene.policy.limits.failures_per_day // 2
    chance = sum(compares.values()) / 10**scene.policy.otp.digits

    assert all(compares.values()), Counter(compares.values())

    return [
        Count(
            tried=f"codes for {_ACCOUNTS} accounts from one network",
            tries=tries,
            through=max(compares.values()),
            what=f"compares for the account with the most; chance of a hit on any account: {chance:.1e}",
            at_most=share,
            bound="half of SIGNIN_LIMITS__FAILURES_PER_DAY per account; a limit across accounts is upstream's job",
        )
    ]


async def _spray(scene: Scene, account: str, opened: list[str]) -> int:
    """Open a sign-in and guess; return the number of guesses."""
    signin_id = await scene.request(account)
    opened.append(signin_id)
    await scene.wait_for_results([signin_id])
    if (await scene.result_kinds(signin_id))[0] != "signin.code_sent":
        return 0

    tries = await scene.submit_all(signin_id, account, wrong_codes("00000000", scene.policy.otp.max_attempts))
    await scene.wait_for_results([signin_id], 1 + tries)

    return tries


ATTACKS = (
    Attack("guesses-at-once", "S3", guess_at_once, short=True),
    Attack("spraying", "S4, S5", spray_accounts),
)
MANY_SENDS = (Attack("guesses-over-sign-ins", "S4", guess_over_sign_ins),)
