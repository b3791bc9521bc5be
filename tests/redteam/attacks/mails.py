"""Mails: bombing one victim, and using up the mail rate that everybody shares."""

import asyncio
import time
from collections import Counter
from typing import Final

from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene, network

_FORMS: Final = 10
_RESENDS: Final = 20
_BACKLOG: Final = 60
_TRUSTED: Final = 4


def spelling(address: str, number: int) -> str:
    """Return one of many spellings of an address that reach, or might reach, the same mailbox."""
    local, _, domain = address.rpartition("@")

    forms = (
        address,
        address.upper(),
        f"{local}+{number}@{domain}",
        f"{local.title()}+x+{number}@{domain.upper()}",
        f"{address}.",
        f" \t{address} ",
        f"{local.replace('fi', 'ﬁ')}@{domain}",
        f"{local.replace('s', 'ſ')}@{domain}",
        f"{''.join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in local)}@{domain}",
        f"{local.replace('k', chr(0x212A))}+{number}@{domain}",
    )

    return forms[number % len(forms)]


async def bomb_mailbox(scene: Scene) -> list[Count]:
    """Request codes for one mailbox in every spelling, each time from another network and with a valid token."""
    victim = scene.address("sofi.k")
    requests = (scene.request(spelling(victim, number), ip=network(number)) for number in range(scene.size.flood))
    signin_ids = await asyncio.gather(*requests)
    await scene.wait_for_results(signin_ids)
    results = await scene.results()
    kinds = Counter(results[one][0].kind for one in signin_ids)
    arrived = len(scene.mails(victim))

    assert arrived, f"no mail arrived: {kinds}"
    assert not kinds["signin.rejected invalid_email"], f"a spelling is no valid address, so it tested nothing: {kinds}"

    await scene.sign_in(victim, trusted_device=True)
    limits = scene.policy.limits

    return [
        Count(
            tried=f"sign-ins for one mailbox, in {_FORMS} spellings, each from another network",
            tries=len(signin_ids),
            through=arrived,
            what="mails in an hour; the owner then signed in from a trusted device",
            at_most=limits.sends_per_hour,
            bound="SIGNIN_LIMITS__SENDS_PER_HOUR",
        )
    ]


async def request_again_and_again(scene: Scene) -> list[Count]:
    """Request the same code again and again."""
    victim = scene.address()
    begun = time.monotonic()
    signin_id = await scene.request(victim)
    await scene.wait_for_results([signin_id])
    for attempt in range(2, _RESENDS + 1):
        await scene.request(victim, signin_id=signin_id, attempt=attempt)

    await scene.wait_for_results([signin_id], _RESENDS)
    cooldown_s = scene.policy.limits.send_cooldown_s

    return [
        Count(
            tried="attempts of one sign-in, in sequence",
            tries=_RESENDS,
            through=len(scene.mails(victim)),
            what="mails",
            at_most=1 + int((time.monotonic() - begun) / cooldown_s),
            bound="one, plus one for each SIGNIN_LIMITS__SEND_COOLDOWN_S that passed",
        )
    ]


async def use_up_mail_rate(scene: Scene) -> list[Count]:
    """Request more mails than all workers may send, one per mailbox; then request some from trusted devices."""
    strangers = [scene.address("stranger") for _ in range(_BACKLOG)]
    await asyncio.gather(*(scene.request(one, ip=network(number)) for number, one in enumerate(strangers)))
    await scene.wait_until_done()
    owners = [scene.address("owner") for _ in range(_TRUSTED)]
    before = len(scene.all_mails())

    assert before < _BACKLOG / 2, f"{before} mails were sent at once: the rate was not used up"

    signin_ids = await asyncio.gather(*(scene.request(one, trusted_device=True) for one in owners))
    await scene.wait_for_results(signin_ids)
    served = [mail.recipients[0] for mail in scene.all_mails()[before:]]
    last = max(served.index(owner) for owner in owners)
    await scene.stage.eventually(lambda: _all_sent(scene), "the strangers have got their mails too", within_s=120)

    return [
        Count(
            tried=f"mails to strangers that wait while {_TRUSTED} trusted devices request codes, at 2 mails a second",
            tries=_BACKLOG - before,
            through=sum(one in strangers for one in served[:last]),
            what="sent before the last trusted device's mail; the rest followed, none was rejected",
            at_most=(_BACKLOG - before) // 2,
            bound="half: first come, first served would send all of them first; some are already being sent",
        )
    ]


async def _all_sent(scene: Scene) -> bool:
    return len(scene.all_mails()) == _BACKLOG + _TRUSTED


ATTACKS = (
    Attack("mail-bombing", "S9, S14", bomb_mailbox, short=True),
    Attack("send-again", "S9, S10", request_again_and_again),
)
DRAINING = (Attack("draining-the-mail-rate", "S9", use_up_mail_rate),)
