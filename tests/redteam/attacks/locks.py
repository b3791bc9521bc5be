"""Locking out the owner of an account by failing in their name."""

import asyncio
import json
from typing import Final

from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene, wrong_codes

_ATTACKER = "198.51.100.66"
_ELSEWHERE = "192.0.2.44"
_HOUR_S: Final = 3_600
_SIGN_INS: Final = 12


async def lock_out_for_an_hour(scene: Scene) -> list[Count]:
    """Fail from one network as often as an hour allows; the owner comes from another one, and from a trusted device."""
    victim = scene.address("owner")
    tries = await _guess(scene, victim, sign_ins=5)
    from_elsewhere = await scene.request(victim, ip=_ELSEWHERE)
    await scene.wait_for_results([from_elsewhere])
    (answer,) = (await scene.results())[from_elsewhere]

    assert answer.kind == "signin.rejected locked", answer.kind

    await scene.sign_in(victim, ip=_ELSEWHERE, trusted_device=True)

    return [
        Count(
            tried="codes from one network; then the owner requests one from another network, on a new device",
            tries=tries,
            through=json.loads(answer.value)["retry_after_s"],
            what="seconds until a new device may sign in; a trusted one signed in at once",
            at_most=_HOUR_S,
            bound="the hour of SIGNIN_LIMITS__FAILURES_PER_HOUR, which is not split by network",
        )
    ]


async def lock_out_for_a_day(scene: Scene) -> list[Count]:
    """Fail and request mails from one network until nothing works there; the owner comes from another one."""
    victim = scene.address("owner")
    tries = await _guess(scene, victim, sign_ins=_SIGN_INS)
    signin_ids = [one for one, own in (await scene.results()).items() if own]
    compares = await scene.count_compares(signin_ids)
    locked_out = 0

    for trusted, ip in ((False, _ELSEWHERE), (True, _ELSEWHERE), (True, _ATTACKER)):
        try:
            await scene.sign_in(victim, ip=ip, trusted_device=trusted)
        except AssertionError:
            locked_out += 1

    return [
        Count(
            tried=f"codes for {_SIGN_INS} sign-ins of an account from one network, at 20 failures and mails an hour",
            tries=tries,
            through=compares,
            what="compares for that network",
            at_most=scene.policy.limits.failures_per_day // 2,
            bound="half of SIGNIN_LIMITS__FAILURES_PER_DAY",
        ),
        Count(
            tried="the owner: from another network, and from trusted devices there and in the attacker's network",
            tries=3,
            through=locked_out,
            what="times locked out",
            at_most=0,
            bound="half of the daily limit is for other networks; trusted devices have their own limits",
        ),
    ]


async def _guess(scene: Scene, victim: str, sign_ins: int) -> int:
    """Open sign-ins from the attacker's network and guess until they are locked; return the number of guesses."""
    signin_ids = await asyncio.gather(*(scene.request(victim, ip=_ATTACKER) for _ in range(sign_ins)))
    await scene.wait_for_results(signin_ids)
    results = await scene.results()
    opened = [one for one in signin_ids if results[one][0].kind == "signin.code_sent"]
    max_attempts = scene.policy.otp.max_attempts
    tries = 0
    for signin_id in opened:
        tries += await scene.submit_all(signin_id, victim, wrong_codes("00000000", max_attempts))
        await scene.wait_for_results([signin_id], 1 + max_attempts)

    return tries


ATTACKS = (Attack("locking-out-for-an-hour", "S4, S5", lock_out_for_an_hour),)
MANY_SENDS = (Attack("locking-out-for-a-day", "S5", lock_out_for_a_day),)
