"""Traces: searches everything that earlier attacks left behind for secrets."""

import asyncio
from base64 import b64decode
from collections import Counter
from typing import Final

from tests.redteam.attack import Attack, Count
from tests.redteam.dump import Corpus, dump
from tests.redteam.scene import Scene, wrong_codes
from tests.redteam.search import Secrets

_KEYS: Final = ("SIGNIN_KEYS__ACCOUNT", "SIGNIN_KEYS__CODE", "SIGNIN_KEYS__PAYLOAD")
_FORMS: Final = "in plaintext, URL-encoded, in base64 or in hex"


async def search_traces(scene: Scene) -> list[Count]:
    """Search everything stored or shown for every code, address, token and key of this run."""
    await _cause_all_kinds(scene)
    await scene.wait_until_done()
    secrets = _secrets(scene)

    assert len(secrets.codes) > 1, "no codes to look for"

    corpora = await dump(scene)
    opened = next(corpus for corpus in corpora if corpus.opened)
    known = _found(opened, secrets)

    assert known["address in plaintext"] and known["token in plaintext"], (
        f"the search finds nothing even where it must: {dict(known)}"
    )
    assert all(corpus.size for corpus in corpora), [corpus.place for corpus in corpora if not corpus.size]

    return [await _count(corpus, secrets) for corpus in corpora]


async def _count(corpus: Corpus, secrets: Secrets) -> Count:
    if corpus.opened:  # encrypted payloads hold addresses and tokens, which the workflows need
        secrets = Secrets({kind: own for kind, own in secrets.marks.items() if "key" in kind}, secrets.codes)

    found = await asyncio.to_thread(_found, corpus, secrets)
    secret_kinds = "codes or keys" if corpus.opened else "codes, addresses, tokens or keys"

    return Count(
        tried=f"bytes of {corpus.things:,} × {corpus.place}",
        tries=corpus.size,
        through=found.total(),
        what=f"finds of {len(secrets.codes)} {secret_kinds} {_FORMS}" + (f": {dict(found)}" if found else ""),
        at_most=0,
        bound="none",
    )


def _found(corpus: Corpus, secrets: Secrets) -> Counter[str]:
    return sum((secrets.found_in(blob) for blob in corpus.blobs), Counter[str]())


async def _cause_all_kinds(scene: Scene) -> None:
    """Cause one event of each kind: a success, wrong codes, a rejection, and dead letters that hold secrets."""
    victim = scene.address()
    signin_id, code = await scene.request_code(victim)
    await scene.submit_all(signin_id, victim, [*wrong_codes(code, 2), code])
    await scene.request(scene.address(domain="nxdomain.test"))
    await scene.request(scene.address(), token=scene.token_mark)
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


ATTACKS = (Attack("searching-all-traces", "S8, S15, S17", search_traces, short=True),)
