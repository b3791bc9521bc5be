"""Records: poison, and whole topics that are read again."""

import asyncio
from collections.abc import Sequence
from typing import Final

from tests.faults.evidence import read_topic
from tests.faults.ledger import ResultRecord
from tests.redteam.attack import Attack, Count
from tests.redteam.scene import Scene

_POISON: Final[tuple[bytes | None, ...]] = (
    None,
    b"",
    b"\x00",
    b"\xff\xfe",
    b"NaN",
    b"null",
    b"[]",
    b'"text"',
    b"[" * 3_000,
    b'{"a":' * 3_000,
    b'\xef\xbb\xbf{"a": 1}',
    b'{"signin_id": 7}',
    b'{"signin_id": "short"}',
    b'{"signin_id": "../../../etc/passwd"}',
    b"{" + b'"a":1,' * 10_000 + b'"b":2}',
    b"9" * 70_000,
    b"x" * 66_000,
)


async def poison_topics(scene: Scene) -> list[Count]:
    """Emit records that cannot be applied to both topics, while people sign in."""
    before = await _dead_letters(scene)
    poison = [value for value in _POISON for _ in range(max(1, scene.size.flood // 50))]
    topics = scene.stage.topics.inbound
    emitting = (scene.stage.upstream.poison(topic, value) for value in poison for topic in topics)
    await asyncio.gather(scene.sign_in(scene.address()), *emitting)
    await scene.wait_until_done()
    await scene.sign_in(scene.address())
    tries = len(topics) * len(poison)

    return [
        Count(
            tried=f"records that cannot be applied, {len(_POISON)} kinds on each topic",
            tries=tries,
            through=tries - (await _dead_letters(scene) - before),
            what="missing from the dead letters; people signed in meanwhile and afterwards",
            at_most=0,
            bound="none",
        )
    ]


async def read_topics_again(scene: Scene) -> list[Count]:
    """Reset the group's offsets to 0 and let the worker read everything again."""
    await scene.sign_in(scene.address())
    await scene.wait_until_done()
    stage = scene.stage
    before = await scene.results()
    mails = len(scene.all_mails())

    await stage.terminate(scene.worker)
    committed = await stage.committed_offsets()
    await stage.admin.commit(stage.topics.group_id, {place: 0 for place in committed})
    await scene.worker.start()
    await scene.wait_until_done()

    last = await scene.sign_in(scene.address())  # one more mail
    after = await scene.results()
    tries = sum(committed.values())
    new_results = sum(_count_new(before[one], own) for one, own in after.items() if one != last)
    new_mails = len(scene.all_mails()) - mails - 1

    return [
        Count(
            tried="records of both topics, read a second time from the start",
            tries=tries,
            through=number,
            what=f"new {what}; somebody then signed in",
            at_most=0,
            bound="none",
        )
        for what, number in (("mails", new_mails), ("results", new_results))
    ]


def _count_new(before: Sequence[ResultRecord], after: Sequence[ResultRecord]) -> int:
    """Count the results that only reading again can have caused.

    What was live before may have expired since: earlier attacks leave such sign-ins.
    """
    known = {one.event_id for one in before}
    new = [one for one in after if one.event_id not in known]
    has_ended = any(one.is_terminal for one in before)
    return sum(has_ended or one.kind != "signin.expired" for one in new)


async def _dead_letters(scene: Scene) -> int:
    stage = scene.stage
    return sum([len(await read_topic(stage.bootstrap_servers, topic)) for topic in stage.topics.dead_letters])


ATTACKS = (
    Attack("poisoning", "S8", poison_topics),
    Attack("reading-topics-again", "S7", read_topics_again),
)
