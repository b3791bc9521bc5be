"""Turnstile: invalid tokens, and a siteverify server that lies, is slow or is down."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from deploy.local.servers.siteverify import ACTION, HOSTNAME, Answer
from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene
from tests.faults.upstream import new_signin_id

_MAX_CALLS: Final = 40
_HUGE: Final = 48 * 1024 * 1024
_MAX_TOKEN_LENGTH: Final = 2_048
_MAX_MEMORY_MB: Final = 512


@dataclass(frozen=True)
class _Try:
    """A token, and siteverify's ``answer`` to every call for it."""

    token: str
    answer: Answer | None = None


async def use_bad_tokens(scene: Scene) -> list[Count]:
    """Use tokens that are missing, made up, spent or somebody else's, or that are for another page, action or time."""
    spent = await _spent(scene)
    somebody_elses = _fresh(scene)
    tries = [_Try(token) for token in ("", "made-up", "x" * (_MAX_TOKEN_LENGTH + 1), spent, somebody_elses)]
    tries += [_Try(_fresh(scene), Answer(body=body)) for body in _wrong_bodies()]
    tried = "tokens: missing, made up, spent, somebody else's; for another host, action, cdata or time"
    return [await _count(scene, tries, tried)]


async def lie_as_siteverify(scene: Scene) -> list[Count]:
    """Let siteverify give every kind of wrong answer."""
    scene.stage.peak_rss = 0
    tries = [_Try(_fresh(scene), answer) for answer in _broken_answers(scene)]
    count = await _count(scene, tries, "siteverify down, slow or redirecting, with wrong members, garbage or 48 MB")

    keys = defaultdict[str, set[str]](set)
    for call in scene.servers.siteverify.calls:
        keys[call.get("response", "")].add(call.get("idempotency_key", ""))

    keys_by_token = {one.token: keys[one.token] for one in tries}
    calls = sum(call.get("response") in keys_by_token for call in scene.servers.siteverify.calls)

    assert calls > len(tries), f"{calls} calls: no call was retried"

    return [
        count,
        Count(
            tried="calls to siteverify for these tokens",
            tries=calls,
            through=sum(len(own) != 1 for own in keys_by_token.values()),
            what="tokens whose calls did not share one idempotency_key",
            at_most=0,
            bound="none",
        ),
        Count(
            tried="bytes in one answer",
            tries=_HUGE,
            through=scene.stage.peak_rss // 1_000_000,
            what="MB of memory at the worker's peak",
            at_most=_MAX_MEMORY_MB,
            bound="as in the fault programme",
        ),
    ]


async def _count(scene: Scene, tries: list[_Try], tried: str) -> Count:
    before = len(scene.all_mails())
    victims = [scene.address() for _ in tries]
    for one in tries:
        if one.answer is not None:
            scene.servers.siteverify.script(one.token, *[one.answer] * _MAX_CALLS)

    requests = (_request(scene, victim, one) for victim, one in zip(victims, tries, strict=True))
    signin_ids = await asyncio.gather(*requests)
    await scene.wait_for_results(signin_ids)
    results = await scene.results()
    kinds = {results[one][0].kind for one in signin_ids}
    mails = len(scene.all_mails()) - before
    await scene.sign_in(scene.address())

    assert kinds <= {"signin.rejected challenge_failed", "signin.rejected challenge_unavailable"} or mails, kinds

    return Count(
        tried=tried,
        tries=len(tries),
        through=mails,
        what="mails; an honest person then signed in",
        at_most=0,
        bound="none: it fails closed",
    )


async def _request(scene: Scene, victim: str, one: _Try) -> str:
    """Request a code under the sign-in that the token was issued for, if there is one."""
    parts = one.token.split(".")
    is_ours = one.answer is not None and len(parts) == 3
    return await scene.request(victim, signin_id=parts[1] if is_ours else "", token=one.token)


async def _spent(scene: Scene) -> str:
    """Sign in; return the token that this spent."""
    signin_id = new_signin_id()
    token = scene.token(signin_id)
    await scene.sign_in(scene.address(), signin_id=signin_id, token=token)
    return token


def _fresh(scene: Scene) -> str:
    """Return a valid token for a sign-in that has not been opened."""
    return scene.token(new_signin_id())


def _wrong_bodies() -> list[dict[str, Any]]:
    """Return siteverify's answers to tokens that are for another page, another action or another time."""
    now = datetime.now(UTC)
    times = [
        now - timedelta(seconds=301),
        now - timedelta(days=1),
        now + timedelta(hours=1),
        now.replace(tzinfo=None),
    ]

    return [
        *({"hostname": name} for name in ("evil.example", f"{HOSTNAME}.evil.example", f"x.{HOSTNAME}", "", None)),
        *({"action": name} for name in ("login", ACTION.upper(), "", None)),
        *({"cdata": text} for text in (new_signin_id(), "", None)),
        *({"challenge_ts": moment.isoformat()} for moment in times),
        *({"challenge_ts": text} for text in ("", "soon", None)),
        {"success": False},
    ]


def _broken_answers(scene: Scene) -> list[Answer]:
    """Return the answers of a siteverify server that is down, slow or lying."""
    elsewhere = {"location": scene.servers.siteverify.url}

    return [
        *(Answer(status=status) for status in (500, 502, 503, 301)),
        Answer(status=204, body=""),
        *(Answer(status=status, headers=elsewhere, body="") for status in (302, 307, 308)),
        *(Answer(body=text) for text in ("", "garbage", "[]", "null", '"true"', "true")),
        *(Answer(body=bracket * 100_000) for bracket in "[{"),
        *(Answer(body={"success": lie}) for lie in ("true", 1, [True], {"a": 1}, None)),
        Answer(delay_s=7),
        Answer(body={"padding": "x" * _HUGE}),
    ]


ATTACKS = (
    Attack("bad-challenge-tokens", "S12", use_bad_tokens, short=True),
    Attack("lying-siteverify", "S12", lie_as_siteverify),
)
