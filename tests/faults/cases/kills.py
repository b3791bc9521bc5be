"""kill -9, at random and at named points."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from deploy.local.servers.mail_server import Reply
from deploy.local.worker import LocalWorker
from tests.faults.case import Case
from tests.faults.people import Person, asks_again, signs_in
from tests.faults.proxy import OFFSET_COMMIT, PRODUCE, Proxy, Trap, answers_kafka, answers_temporal
from tests.faults.proxy import asks_kafka, calls_temporal
from tests.faults.stage import Stage

_SPRUNG_WITHIN_S: Final = 120
_PATIENCE_S: Final = 1_200  # a worker that is killed all the time does not get far
_SUBMIT: Final = b"\x06submit"  # the signal's name as protobuf has it, with its length


async def at_random(stage: Stage) -> str:
    """Kill the worker again and again, at any moment: while it starts, joins, works, commits.

    Most times the group is told at once that the member is gone; every tenth time it finds out by itself (10 s).
    """
    worker = await stage.start_worker()
    stage.patience_s = _PATIENCE_S
    dice = random.Random(8)

    async with stage.crowd.coming(stage.scale.every_s):
        for number in range(stage.scale.kills):
            await asyncio.sleep(dice.uniform(0.2, 2.5))
            await stage.kill(worker)
            if (number + 1) % 10:
                await stage.admin.evict_all(stage.topics.group_id)

            await _launched(worker, dice)

    if not worker.process.running:
        await worker.start()

    await stage.recovered()

    return f"{stage.scale.kills} kills"


async def _launched(worker: LocalWorker, dice: random.Random) -> None:
    """Start it; one time in five the next kill may come before it is ready."""
    if dice.random() < 0.2:
        worker.launch()
    else:
        await worker.start()


Point = Callable[[Stage, Person], tuple[Proxy, Trap]]


def at_point(point: Point) -> Callable[[Stage], Awaitable[str]]:
    """Return a case: kill the worker in the middle of one call, several times over."""

    async def inject(stage: Stage) -> str:
        worker = await stage.start_worker()
        async with stage.crowd.coming(2 * stage.scale.every_s):
            for _ in range(stage.scale.rounds):
                person = stage.newcomer()
                proxy, trap = point(stage, person)
                proxy.set_trap(trap)
                stage.crowd.send(signs_in, person)
                await asyncio.wait_for(trap.sprung.wait(), _SPRUNG_WITHIN_S)
                killed_at = time.monotonic()
                await stage.kill(worker)
                await proxy.cut()
                proxy.open()
                await worker.start()
                await stage.recovered(killed_at)

        return f"{stage.scale.rounds} kills there"

    return inject


def before_the_call(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Let the start of a workflow leave the worker, but never arrive."""
    return stage.servers.temporal_proxy, Trap(calls_temporal(f"signin/{person.signin_id}/1".encode()))


def after_it_was_applied(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Temporal has started the workflow, the worker never hears of it."""
    wants = calls_temporal(f"signin/{person.signin_id}/1".encode())
    return stage.servers.temporal_proxy, Trap(wants, answers_temporal)


def after_the_signal(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Temporal has signalled a submission, the worker never hears of it."""
    return stage.servers.temporal_proxy, Trap(calls_temporal(_SUBMIT), answers_temporal)


def during_the_hand_over(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Let the mailbox have its challenge, while the sign-in's workflow does not know it."""
    return stage.servers.temporal_proxy, Trap(calls_temporal(b"open_or_resend"), answers_temporal)


def before_the_commit(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Let a commit leave the worker, but never arrive."""
    return stage.servers.kafka_proxy, Trap(asks_kafka(OFFSET_COMMIT))


def during_the_commit(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Kafka has the commit, the worker never hears of it."""
    return stage.servers.kafka_proxy, Trap(asks_kafka(OFFSET_COMMIT), answers_kafka)


def before_a_result(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Let a result leave the worker, but never arrive."""
    return stage.servers.kafka_proxy, Trap(asks_kafka(PRODUCE, person.signin_id.encode()))


def after_a_result(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Kafka has a result, the worker never hears of it: it must come again with the same bytes."""
    return stage.servers.kafka_proxy, Trap(asks_kafka(PRODUCE, person.signin_id.encode()), answers_kafka)


async def after_a_mail(stage: Stage) -> str:
    """Kill the worker when the mail server has taken a mail, and before it says so: a second copy cannot be helped."""
    worker = await stage.start_worker()
    for number in range(stage.scale.rounds):
        person = stage.newcomer()
        stage.servers.mail_server.script(person.address, Reply(delay_s=10))
        stage.crowd.send(asks_again if number % 2 else signs_in, person)
        await stage.servers.mail_server.mail_to(person.address, within_s=_SPRUNG_WITHIN_S)
        killed_at = time.monotonic()
        await stage.kill(worker)
        await worker.start()
        await stage.recovered(killed_at)

    return f"{stage.scale.rounds} kills there"


def _point(name: str, where: str, point: Point) -> Case:
    return Case(f"kill-{name}", f"kill -9 {where}", at_point(point))


CASES = (
    Case("kill-random", "kill -9 of the worker at random moments", at_random, within_s=3_600, may_expire=True),
    _point("before-call", "before a workflow's start reaches Temporal", before_the_call),
    _point("after-applied", "after Temporal started a workflow, before its answer", after_it_was_applied),
    _point("after-signal", "after Temporal took a submission, before its answer", after_the_signal),
    _point("hand-over", "after the mailbox got its challenge, before the answer", during_the_hand_over),
    _point("before-commit", "before a commit reaches Kafka", before_the_commit),
    _point("during-commit", "after Kafka took a commit, before its answer", during_the_commit),
    _point("before-result", "before a result reaches Kafka", before_a_result),
    _point("after-result", "after Kafka took a result, before its answer", after_a_result),
    Case("kill-after-mail", "kill -9 after the mail server took a mail, before its answer", after_a_mail),
)
