"""kill -9 of the worker, at random moments and at chosen points."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from deploy.local.servers.mail_server import Reply
from deploy.local.worker import LocalWorker
from tests.faults.case import Case
from tests.faults.people import Person, asks_again, signs_in
from tests.faults.proxy import (
    OFFSET_COMMIT,
    PRODUCE,
    Proxy,
    Trap,
    is_kafka_response,
    is_temporal_response,
)
from tests.faults.proxy import kafka_request, temporal_call
from tests.faults.stage import Stage

_TRIGGERED_WITHIN_S: Final = 120
_PATIENCE_S: Final = 1_200  # a worker that is killed all the time makes slow progress
_SUBMIT: Final = b"\x06submit"  # the signal's name in protobuf, after its length


async def kill_at_random(stage: Stage) -> str:
    """Kill the worker again and again, at any moment: while it starts, joins, works or commits.

    Nine times out of ten the group is told at once that the member is gone; else it finds out by itself, after 6 s.
    """
    worker = await stage.start_worker()
    stage.patience_s = _PATIENCE_S
    chance = random.Random(8)

    async with stage.crowd.arriving(stage.scale.every_s):
        for number in range(stage.scale.kills):
            await asyncio.sleep(chance.uniform(0.2, 2.5))
            await stage.kill(worker)
            if (number + 1) % 10:
                await stage.admin.evict_members(stage.topics.group_id)

            await _start(worker, chance)

    if not worker.process.running:
        await worker.start()

    await stage.wait_until_recovered()

    return f"{stage.scale.kills} kills"


async def _start(worker: LocalWorker, chance: random.Random) -> None:
    """Start the worker. One time in five, do not wait until it is ready."""
    if chance.random() < 0.2:
        worker.launch()
    else:
        await worker.start()


Point = Callable[[Stage, Person], tuple[Proxy, Trap]]


def kill_at(point: Point) -> Callable[[Stage], Awaitable[str]]:
    """Return a case that kills the worker in the middle of one kind of call, several times."""

    async def inject(stage: Stage) -> str:
        worker = await stage.start_worker()
        async with stage.crowd.arriving(2 * stage.scale.every_s):
            for _ in range(stage.scale.rounds):
                person = stage.new_person()
                proxy, trap = point(stage, person)
                proxy.set_trap(trap)
                stage.crowd.start(signs_in, person)
                await asyncio.wait_for(trap.triggered.wait(), _TRIGGERED_WITHIN_S)

                killed_at = time.monotonic()
                await stage.kill(worker)
                await proxy.cut()
                proxy.open()
                await worker.start()
                await stage.wait_until_recovered(killed_at)

        return f"{stage.scale.rounds} kills at this point"

    return inject


def before_the_call(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Stop the start of a workflow before it reaches Temporal."""
    return stage.servers.temporal_proxy, Trap(temporal_call(f"signin/{person.signin_id}/1".encode()))


def after_it_was_applied(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Let Temporal start the workflow, but stop its response."""
    start = temporal_call(f"signin/{person.signin_id}/1".encode())
    return stage.servers.temporal_proxy, Trap(start, is_temporal_response)


def after_the_signal(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Let Temporal signal a submission, but stop its response."""
    return stage.servers.temporal_proxy, Trap(temporal_call(_SUBMIT), is_temporal_response)


def during_the_hand_over(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Let the mailbox get its challenge, but stop the response to the sign-in's workflow."""
    return stage.servers.temporal_proxy, Trap(temporal_call(b"open_or_resend"), is_temporal_response)


def before_the_commit(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Stop a commit before it reaches Kafka."""
    return stage.servers.kafka_proxy, Trap(kafka_request(OFFSET_COMMIT))


def during_the_commit(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Let Kafka store a commit, but stop its response."""
    return stage.servers.kafka_proxy, Trap(kafka_request(OFFSET_COMMIT), is_kafka_response)


def before_a_result(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Stop a result before it reaches Kafka."""
    return stage.servers.kafka_proxy, Trap(kafka_request(PRODUCE, person.signin_id.encode()))


def after_a_result(stage: Stage, person: Person) -> tuple[Proxy, Trap]:
    """Let Kafka store a result, but stop its response: the worker must publish the same bytes again."""
    return stage.servers.kafka_proxy, Trap(kafka_request(PRODUCE, person.signin_id.encode()), is_kafka_response)


async def kill_after_a_mail(stage: Stage) -> str:
    """Kill the worker after the mail server has accepted a mail but before it answers: a second copy is unavoidable."""
    worker = await stage.start_worker()
    for number in range(stage.scale.rounds):
        person = stage.new_person()
        stage.servers.mail_server.script(person.address, Reply(delay_s=10))
        stage.crowd.start(asks_again if number % 2 else signs_in, person)
        await stage.servers.mail_server.mail_to(person.address, within_s=_TRIGGERED_WITHIN_S)
        killed_at = time.monotonic()
        await stage.kill(worker)
        await worker.start()
        await stage.wait_until_recovered(killed_at)

    return f"{stage.scale.rounds} kills at this point"


def _point(name: str, where: str, point: Point) -> Case:
    return Case(f"kill-{name}", f"kill -9 {where}", kill_at(point))


CASES = (
    Case("kill-random", "kill -9 of the worker at random moments", kill_at_random, within_s=3_600, may_expire=True),
    _point("before-call", "before a workflow's start reaches Temporal", before_the_call),
    _point("after-applied", "after Temporal started a workflow, before its response", after_it_was_applied),
    _point("after-signal", "after Temporal accepted a submission, before its response", after_the_signal),
    _point("hand-over", "after the mailbox got its challenge, before the response", during_the_hand_over),
    _point("before-commit", "before a commit reaches Kafka", before_the_commit),
    _point("during-commit", "after Kafka stored a commit, before its response", during_the_commit),
    _point("before-result", "before a result reaches Kafka", before_a_result),
    _point("after-result", "after Kafka stored a result, before its response", after_a_result),
    Case("kill-after-mail", "kill -9 after the mail server accepted a mail, before its answer", kill_after_a_mail),
)
