"""Sign-ins: taking over, overwriting, replaying those of others."""

import asyncio
from typing import Final

from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene, network, wrong

_TIMES: Final = 100
_OTHERS: Final = 10
_NONE: Final = "none"


async def overwriting(scene: Scene) -> list[Count]:
    """Open sign-ins for a victim who has a code in hand; the code stays good."""
    victim = scene.address()
    signin_id, code = await scene.code(victim)
    others = await asyncio.gather(*(scene.ask(victim, ip=network(number)) for number in range(_OTHERS)))
    await scene.heard(others)
    again = await scene.ask(victim, signin_id=signin_id)  # the victim's own sign-in, as if it began anew

    assert again == signin_id

    await scene.type(signin_id, victim, code)
    await scene.heard([signin_id], 2)
    kinds = await scene.kinds(signin_id)

    return [
        Count(
            tried="new sign-ins for the account of somebody with a code in hand, and that sign-in opened again",
            tries=_OTHERS + 1,
            through=kinds.count("signin.succeeded") != 1,
            what="codes made useless",
            at_most=0,
            bound=_NONE,
        )
    ]


async def replaying(scene: Scene) -> list[Count]:
    """Emit the request and the right code a hundred times, the code under new submission ids too."""
    victim = scene.address()
    signin_id, code = await scene.code(victim, times=_TIMES)
    await scene.type(signin_id, victim, code, times=_TIMES)
    await scene.flood(signin_id, victim, [code] * _TIMES)
    await scene.heard([signin_id], 2)
    await scene.done()
    kinds = await scene.kinds(signin_id)

    assert kinds[:2] == ["signin.code_sent", "signin.succeeded"], kinds

    return [
        Count(
            tried="the same request again",
            tries=_TIMES,
            through=len(scene.mails(victim)),
            what="mails",
            at_most=1,
            bound="one an attempt",
        ),
        Count(
            tried="the right code again, half of it as a new submission",
            tries=2 * _TIMES,
            through=len(kinds) - 1,
            what="results of it: the success",
            at_most=1,
            bound="one success a sign-in",
        ),
    ]


async def elsewhere(scene: Scene) -> list[Count]:
    """Use the code of one sign-in in another, and another address with a sign-in."""
    victim = scene.address()
    attacker = scene.address("mallory")
    own, own_code = await scene.code(attacker)
    target, code = await scene.code(victim)
    second, _ = await scene.code(victim, ip=network(1))
    await scene.type(target, victim, own_code)
    await scene.type(second, victim, code)
    await scene.type(target, attacker, code)
    await scene.type(own, victim, own_code)
    await scene.heard([target], 3)
    await scene.heard([second], 2)
    await scene.heard([own], 1)
    await scene.done()
    said = await scene.said()
    successes = [one.signin_id for own_results in said.values() for one in own_results if _is_success(one.kind)]
    through = sum(one in successes for one in (own, target, second))
    await scene.type(target, victim, code)
    await scene.heard([target], 4)

    assert "signin.succeeded" in await scene.kinds(target), await scene.kinds(target)

    return [
        Count(
            tried="codes in the wrong place: of one's own sign-in, of the victim's other sign-in, with another address",
            tries=4,
            through=through,
            what="successes; then the right code in the right place was one",
            at_most=0,
            bound=_NONE,
        )
    ]


async def redirecting(scene: Scene) -> list[Count]:
    """Ask for the victim's code again, to be sent to another address: with a tag, as a look-alike, elsewhere."""
    victim = scene.address("mike")
    local, _, domain = victim.rpartition("@")
    targets = [
        scene.address("mallory"),
        f"{local}+mallory@{domain}",
        victim.replace("mike", "mıke"),
        f"{local}@{domain}, {scene.address('mallory')}",
        f"{local}@mail.{domain}",
    ]
    signin_id, code = await scene.code(victim)
    for attempt, target in enumerate(targets, start=2):
        await scene.ask(target, signin_id=signin_id, attempt=attempt)

    await scene.heard([signin_id], 1 + len(targets))
    kinds = await scene.kinds(signin_id)
    misled = [mail for mail in scene.all_mails() if mail.recipients != (victim,) and mail.code() == code]
    refused = [kind for kind in kinds if kind.startswith("signin.resend_refused")]

    assert len(refused) == len(targets) and kinds.count("signin.resend_refused account_mismatch") >= 3, kinds

    return [
        Count(
            tried="“send it again”, to another address: a tag, a look-alike, a list, another domain",
            tries=len(targets),
            through=len(misled),
            what="mails with the code; all were refused, as account_mismatch if it was an address",
            at_most=0,
            bound=_NONE,
        )
    ]


async def flooding(scene: Scene) -> list[Count]:
    """Flood one account with submissions; everybody else signs in meanwhile."""
    victim = scene.address()
    signin_id, code = await scene.code(victim)
    flood = asyncio.create_task(scene.flood(signin_id, victim, wrong(code, 2 * scene.size.flood)))
    addresses = [scene.address("other") for _ in range(scene.size.others)]
    served = await asyncio.gather(*(_served(scene, address) for address in addresses))
    tries = await flood
    await scene.done()

    return [
        Count(
            tried=f"codes for one account, while {len(addresses)} others sign in",
            tries=tries,
            through=served.count(False),
            what="of the others not served",
            at_most=0,
            bound=_NONE,
        )
    ]


async def _served(scene: Scene, address: str) -> bool:
    try:
        await scene.signed_in(address)
    except (AssertionError, TimeoutError):
        return False
    return True


def _is_success(kind: str) -> bool:
    return kind == "signin.succeeded"


ATTACKS = (
    Attack("overwriting-a-live-code", "S6, S10", overwriting, short=True),
    Attack("replaying", "S7", replaying, short=True),
    Attack("code-elsewhere", "S6", elsewhere),
    Attack("redirecting-the-mail", "S6, S14", redirecting),
    Attack("flooding-one-account", "S3", flooding),
)
