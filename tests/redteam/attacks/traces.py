"""Traces: all that the attacks before this one have left behind, searched for secrets."""

import asyncio
from base64 import b64decode
from collections import Counter
from typing import Final

from tests.redteam.attack import Attack, Count
from tests.redteam.dump import Corpus, dump
from tests.redteam.scene import Scene, wrong
from tests.redteam.search import Secrets

_KEYS: Final = ("SIGNIN_KEYS__ACCOUNT", "SIGNIN_KEYS__CODE", "SIGNIN_KEYS__PAYLOAD")
_NOT_IN_CLEAR: Final = "in clear, URL-encoded, in base64, in hex"


async def searching(scene: Scene) -> list[Count]:
    """Search what is stored and shown for every code, address, token and key of this run."""
    await _mixed(scene)
    await scene.done()
    secrets = _secrets(scene)

    assert len(secrets.codes) > 1, "no codes to look for"

    corpora = await dump(scene)
    opened = next(corpus for corpus in corpora if corpus.opened)
    known = _found(opened, secrets)

    assert known["address in clear"] and known["token in clear"], f"the search is blind: {dict(known)}"
    assert all(corpus.size for corpus in corpora), [corpus.place for corpus in corpora if not corpus.size]

    return [await _count(corpus, secrets) for corpus in corpora]


async def _count(corpus: Corpus, secrets: Secrets) -> Count:
    if corpus.opened:  # what is encrypted holds addresses and tokens: they are the workflows' business
        secrets = Secrets({kind: own for kind, own in secrets.marks.items() if "key" in kind}, secrets.codes)

    found = await asyncio.to_thread(_found, corpus, secrets)
    looked_for = "codes and keys" if corpus.opened else "codes, addresses, tokens, keys"

    return Count(
        tried=f"bytes of {corpus.things:,} × {corpus.place}",
        tries=corpus.size,
        through=found.total(),
        what=f"finds of {len(secrets.codes)} {looked_for} {_NOT_IN_CLEAR}" + (f": {dict(found)}" if found else ""),
        at_most=0,
        bound="none",
    )


def _found(corpus: Corpus, secrets: Secrets) -> Counter[str]:
    return sum((secrets.found_in(blob) for blob in corpus.blobs), Counter[str]())


async def _mixed(scene: Scene) -> None:
    """Let something of each kind happen: a success, wrong codes, a refusal, a dead letter that holds secrets."""
    victim = scene.address()
    signin_id, code = await scene.code(victim)
    await scene.flood(signin_id, victim, [*wrong(code, 2), code])
    await scene.ask(scene.address(domain="nxdomain.test"))
    await scene.ask(scene.address(), token=scene.token_mark)
    for topic in scene.stage.topics.inbound:
        await scene.stage.upstream.poison(topic, f'{{"email": "{victim}", "code": "{code}", "x": '.encode())
        await scene.stage.upstream.poison(topic, f'{{"signin_id": "{victim}", "attempt": "{code}"}}'.encode())


def _secrets(scene: Scene) -> Secrets:
    settings = scene.stage.settings
    keys = {name: settings[name].rpartition(":")[2] for name in _KEYS}
    marks: dict[str, tuple[bytes, ...]] = {"address": (scene.address_mark.encode(),)}
    marks["token"] = (scene.token_mark.encode(),)
    marks |= {f"key {name}": (text.encode(), b64decode(text)) for name, text in keys.items()}
    marks["key of Turnstile"] = (settings["SIGNIN_TURNSTILE__SECRET"].encode(),)
    return Secrets(marks, frozenset(mail.code().encode() for mail in scene.all_mails()))


ATTACKS = (Attack("searching-all-traces", "S8, S15, S17", searching, short=True),)
