"""Turnstile: tokens that are no good, and a siteverify that lies, dawdles or is away."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from deploy.local.servers.siteverify import ACTION, HOSTNAME, Answer
from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene
from tests.faults.upstream import new_signin_id

_EVERY_CALL: Final = 40
_HUGE: Final = 48 * 1024 * 1024
_LONGEST_TOKEN: Final = 2_048
_MOST_MEMORY_MB: Final = 512


@dataclass(frozen=True)
class _Try:
    """A token; ``answer`` is what siteverify says of it, every time."""

    token: str
    answer: Answer | None = None


async def bad_tokens(scene: Scene) -> list[Count]:
    """Use tokens: missing, made up, spent, another's, or solved on another page, for something else, long ago."""
    spent = await _spent(scene)
    anothers = _fresh(scene)
    tries = [_Try(token) for token in ("", "made-up", "x" * (_LONGEST_TOKEN + 1), spent, anothers)]
    tries += [_Try(_fresh(scene), Answer(body=body)) for body in _bodies()]
    return [await _count(scene, tries, "tokens: missing, made up, spent, another's; other host, action, cdata, time")]


async def lying(scene: Scene) -> list[Count]:
    """Let siteverify answer anything but what it should."""
    scene.stage.peak_rss = 0
    tries = [_Try(_fresh(scene), answer) for answer in _answers(scene)]
    count = await _count(scene, tries, "siteverify away, slow, redirecting, with half-truths, garbage, 48 MB")
    keys = defaultdict[str, set[str]](set)
    for call in scene.servers.siteverify.calls:
        keys[call.get("response", "")].add(call.get("idempotency_key", ""))

    ours = {one.token: keys[one.token] for one in tries}
    calls = sum(call.get("response") in ours for call in scene.servers.siteverify.calls)

    assert calls > len(tries), f"{calls} calls: nothing was tried again"

    return [
        count,
        Count(
            tried="calls of siteverify for these",
            tries=calls,
            through=sum(len(own) != 1 for own in ours.values()),
            what="tokens without one idempotency_key for all their calls",
            at_most=0,
            bound="none",
        ),
        Count(
            tried="bytes of one answer",
            tries=_HUGE,
            through=scene.stage.peak_rss // 1_000_000,
            what="MB of memory that the worker took at most",
            at_most=_MOST_MEMORY_MB,
            bound="as in the fault programme",
        ),
    ]


async def _count(scene: Scene, tries: list[_Try], tried: str) -> Count:
    before = len(scene.all_mails())
    victims = [scene.address() for _ in tries]
    for one in tries:
        if one.answer is not None:
            scene.servers.siteverify.script(one.token, *[one.answer] * _EVERY_CALL)

    asking = (_ask(scene, victim, one) for victim, one in zip(victims, tries, strict=True))
    signin_ids = await asyncio.gather(*asking)
    await scene.heard(signin_ids)
    said = await scene.said()
    kinds = {said[one][0].kind for one in signin_ids}
    mails = len(scene.all_mails()) - before
    await scene.signed_in(scene.address())

    assert kinds <= {"signin.rejected challenge_failed", "signin.rejected challenge_unavailable"} or mails, kinds

    return Count(tried, len(tries), mails, "mails; an honest person then signed in", 0, "none: it fails closed")


async def _ask(scene: Scene, victim: str, one: _Try) -> str:
    """Ask under the sign-in that the token was made for, unless it was made for none."""
    parts = one.token.split(".")
    is_ours = one.answer is not None and len(parts) == 3
    return await scene.ask(victim, signin_id=parts[1] if is_ours else "", token=one.token)


async def _spent(scene: Scene) -> str:
    """Sign in; return the token, which is spent now."""
    signin_id = new_signin_id()
    token = scene.token(signin_id)
    await scene.signed_in(scene.address(), signin_id=signin_id, token=token)
    return token


def _fresh(scene: Scene) -> str:
    """Return a good token of a sign-in that is not opened by itself."""
    return scene.token(new_signin_id())


def _bodies() -> list[dict[str, Any]]:
    """Return what siteverify says of tokens that were solved somewhere else, for something else, at another time."""
    now = datetime.now(UTC)
    times = [now - timedelta(seconds=301), now - timedelta(days=1), now + timedelta(hours=1), now.replace(tzinfo=None)]
    return [
        *({"hostname": name} for name in ("evil.example", f"{HOSTNAME}.evil.example", f"x.{HOSTNAME}", "", None)),
        *({"action": name} for name in ("login", ACTION.upper(), "", None)),
        *({"cdata": text} for text in (new_signin_id(), "", None)),
        *({"challenge_ts": moment.isoformat()} for moment in times),
        *({"challenge_ts": text} for text in ("", "soon", None)),
        {"success": False},
    ]


def _answers(scene: Scene) -> list[Answer]:
    """Return answers of a siteverify that is away, slow or lies."""
    elsewhere = {"location": scene.servers.siteverify.url}
    return [
        *(Answer(status=status) for status in (500, 502, 503, 301)),
        Answer(status=204, body=""),
        *(Answer(status=status, headers=elsewhere, body="") for status in (302, 307, 308)),
        *(Answer(body=text) for text in ("", "garbage", "[]", "null", '"true"', "true", "[" * 100_000, "{" * 100_000)),
        *(Answer(body={"success": lie}) for lie in ("true", 1, [True], {"a": 1}, None)),
        Answer(delay_s=7),
        Answer(body={"padding": "x" * _HUGE}),
    ]


ATTACKS = (
    Attack("bad-challenge-tokens", "S12", bad_tokens, short=True),
    Attack("lying-siteverify", "S12", lying),
)
