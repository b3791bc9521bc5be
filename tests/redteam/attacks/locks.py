"""Locking the owner out by failing in their name."""

import asyncio
import json
from typing import Final

from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene, wrong

_ATTACKER = "198.51.100.66"
_ELSEWHERE = "192.0.2.44"
_HOUR_S: Final = 3_600
_SIGN_INS: Final = 12


async def for_an_hour(scene: Scene) -> list[Count]:
    """Fail from one network as often as an hour lets one; the owner comes from another, and from a trusted device."""
    victim = scene.address("owner")
    tries = await _guess(scene, victim, sign_ins=5)
    from_elsewhere = await scene.ask(victim, ip=_ELSEWHERE)
    await scene.heard([from_elsewhere])
    (answer,) = (await scene.said())[from_elsewhere]

    assert answer.kind == "signin.rejected locked", answer.kind

    await scene.signed_in(victim, ip=_ELSEWHERE, trusted_device=True)

    return [
        Count(
            tried="codes from one network; then the owner from another one, on a new device",
            tries=tries,
            through=json.loads(answer.value)["retry_after_s"],
            what="seconds that a new device has to wait; a trusted one signed in at once",
            at_most=_HOUR_S,
            bound="the hour of SIGNIN_LIMITS__FAILURES_PER_HOUR, which is not divided by network",
        )
    ]


async def for_a_day(scene: Scene) -> list[Count]:
    """Fail and ask for mails from one network until nothing works there; the owner comes from another."""
    victim = scene.address("owner")
    tries = await _guess(scene, victim, sign_ins=_SIGN_INS)
    signin_ids = [one for one, own in (await scene.said()).items() if own]
    compares = await scene.compares(signin_ids)
    kept_out = 0

    for trusted, ip in ((False, _ELSEWHERE), (True, _ELSEWHERE), (True, _ATTACKER)):
        try:
            await scene.signed_in(victim, ip=ip, trusted_device=trusted)
        except AssertionError:
            kept_out += 1

    return [
        Count(
            tried=f"codes for {_SIGN_INS} sign-ins of an account from one network, with 20 failures and mails an hour",
            tries=tries,
            through=compares,
            what="compares for that network",
            at_most=scene.policy.limits.failures_per_day // 2,
            bound="half of SIGNIN_LIMITS__FAILURES_PER_DAY",
        ),
        Count(
            tried="the owner: from another network, from a trusted device there, from one in the attacker's network",
            tries=3,
            through=kept_out,
            what="times kept out",
            at_most=0,
            bound="half of the day is for others, and trusted devices have budgets of their own",
        ),
    ]


async def _guess(scene: Scene, victim: str, sign_ins: int) -> int:
    """Open sign-ins from the attacker's network and guess until they are locked; return how many guesses were made."""
    signin_ids = await asyncio.gather(*(scene.ask(victim, ip=_ATTACKER) for _ in range(sign_ins)))
    await scene.heard(signin_ids)
    said = await scene.said()
    opened = [one for one in signin_ids if said[one][0].kind == "signin.code_sent"]
    most = scene.policy.otp.max_attempts
    tries = 0
    for signin_id in opened:
        tries += await scene.flood(signin_id, victim, wrong("00000000", most))
        await scene.heard([signin_id], 1 + most)

    return tries


ATTACKS = (Attack("locking-out-for-an-hour", "S4, S5", for_an_hour),)
MANY_SENDS = (Attack("locking-out-for-a-day", "S5", for_a_day),)
