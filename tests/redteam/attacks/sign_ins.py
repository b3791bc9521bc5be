"""Other people's sign-ins: overwriting, replaying, redirecting and flooding them."""

import asyncio
from typing import Final

from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene, network, wrong_codes

_TIMES: Final = 100
_OTHERS: Final = 10
_NONE: Final = "none"


async def overwrite_live_code(scene: Scene) -> list[Count]:
    """Open sign-ins for a victim who has a live code; the code stays valid."""
    victim = scene.address()
    signin_id, code = await scene.request_code(victim)
    others = await asyncio.gather(*(scene.request(victim, ip=network(number)) for number in range(_OTHERS)))
    await scene.wait_for_results(others)
    await scene.request(victim, signin_id=signin_id)  # the victim's own sign-in, as if it started again
    await scene.submit(signin_id, victim, code)
    await scene.wait_for_results([signin_id], 2)
    kinds = await scene.result_kinds(signin_id)

    return [
        Count(
            tried="new sign-ins for an account with a live code, and its own sign-in opened again",
            tries=_OTHERS + 1,
            through=kinds.count("signin.succeeded") != 1,
            what="codes invalidated",
            at_most=0,
            bound=_NONE,
        )
    ]


async def replay_events(scene: Scene) -> list[Count]:
    """Emit the request and the right code a hundred times each, and the code also under new submission ids."""
    victim = scene.address()
    signin_id, code = await scene.request_code(victim, times=_TIMES)
    await scene.submit(signin_id, victim, code, times=_TIMES)
    await scene.submit_all(signin_id, victim, [code] * _TIMES)
    await scene.wait_for_results([signin_id], 2)
    await scene.wait_until_done()
    kinds = await scene.result_kinds(signin_id)

    assert kinds[:2] == ["signin.code_sent", "signin.succeeded"], kinds

    return [
        Count(
            tried="the same request, repeated",
            tries=_TIMES,
            through=len(scene.mails(victim)),
            what="mails",
            at_most=1,
            bound="one per attempt",
        ),
        Count(
            tried="the right code, repeated, half of them as new submissions",
            tries=2 * _TIMES,
            through=len(kinds) - 1,
            what="results: the success",
            at_most=1,
            bound="one success per sign-in",
        ),
    ]


async def use_code_elsewhere(scene: Scene) -> list[Count]:
    """Use the code of one sign-in for another one, and another address with a sign-in."""
    victim = scene.address()
    attacker = scene.address("mallory")
    own, own_code = await scene.request_code(attacker)
    target, code = await scene.request_code(victim)
    second, _ = await scene.request_code(victim, ip=network(1))

    await scene.submit(target, victim, own_code)
    await scene.submit(second, victim, code)
    await scene.submit(target, attacker, code)
    await scene.submit(own, victim, own_code)
    await scene.wait_for_results([target], 3)
    await scene.wait_for_results([second], 2)
    await scene.wait_for_results([own], 1)
    await scene.wait_until_done()
    results = await scene.results()
    all_results = [one for own_results in results.values() for one in own_results]
    successes = [one.signin_id for one in all_results if one.kind == "signin.succeeded"]
    through = sum(one in successes for one in (own, target, second))

    await scene.submit(target, victim, code)
    await scene.wait_for_results([target], 4)

    assert "signin.succeeded" in await scene.result_kinds(target), await scene.result_kinds(target)

    return [
        Count(
            tried="codes in the wrong place: from the attacker's own sign-in, from the victim's other sign-in, "
            "with another address",
            tries=4,
            through=through,
            what="successes; the right code in the right place then succeeded",
            at_most=0,
            bound=_NONE,
        )
    ]


async def redirect_mail(scene: Scene) -> list[Count]:
    """Request a resend of the victim's code to another address: with a tag, a look-alike, another domain."""
    victim = scene.address("mike")
    local, _, domain = victim.rpartition("@")
    targets = [
        scene.address("mallory"),
        f"{local}+mallory@{domain}",
        victim.replace("mike", "mıke"),
        f"{local}@{domain}, {scene.address('mallory')}",
        f"{local}@mail.{domain}",
    ]
    signin_id, code = await scene.request_code(victim)
    for attempt, target in enumerate(targets, start=2):
        await scene.request(target, signin_id=signin_id, attempt=attempt)

    await scene.wait_for_results([signin_id], 1 + len(targets))
    kinds = await scene.result_kinds(signin_id)
    misled = [mail for mail in scene.all_mails() if mail.recipients != (victim,) and mail.code() == code]
    refused = [kind for kind in kinds if kind.startswith("signin.resend_refused")]

    assert len(refused) == len(targets) and kinds.count("signin.resend_refused account_mismatch") >= 3, kinds

    return [
        Count(
            tried="resends to another address: a tag, a look-alike, a list, another domain",
            tries=len(targets),
            through=len(misled),
            what="mails with the code; all resends were refused, valid addresses as account_mismatch",
            at_most=0,
            bound=_NONE,
        )
    ]


async def flood_account(scene: Scene) -> list[Count]:
    """Flood one account with submissions while others sign in."""
    victim = scene.address()
    signin_id, code = await scene.request_code(victim)
    flood = asyncio.create_task(scene.submit_all(signin_id, victim, wrong_codes(code, 2 * scene.size.flood)))
    addresses = [scene.address("other") for _ in range(scene.size.others)]
    served = await asyncio.gather(*(_served(scene, address) for address in addresses))
    tries = await flood
    await scene.wait_until_done()

    return [
        Count(
            tried=f"codes for one account, while {len(addresses)} others sign in",
            tries=tries,
            through=served.count(False),
            what="others not served",
            at_most=0,
            bound=_NONE,
        )
    ]


async def _served(scene: Scene, address: str) -> bool:
    try:
        await scene.sign_in(address)
    except (AssertionError, TimeoutError):
        return False
    return True


ATTACKS = (
    Attack("overwriting-a-live-code", "S6, S10", overwrite_live_code, short=True),
    Attack("replaying", "S7", replay_events, short=True),
    Attack("code-elsewhere", "S6", use_code_elsewhere),
    Attack("redirecting-the-mail", "S6, S14", redirect_mail),
    Attack("flooding-one-account", "S3", flood_account),
)
