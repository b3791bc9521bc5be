"""kill -9 of the only worker amid a crowd of requests: how long until everybody has a code, and what is waited for."""

import time
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Final

import httpx
from temporalio.api.history.v1 import HistoryEvent

from deploy.local.waiting import eventually
from deploy.local.worker import LocalWorker
from tests.faults.case import Case
from tests.faults.gauges import rebalances
from tests.faults.people import Person, signs_in
from tests.faults.recovery import (
    ASSIGNED,
    MAILED,
    READ,
    SIGNED_IN,
    TAKEN_OVER,
    UP,
    Recovery,
    described,
    takeovers,
    time_of,
)
from tests.faults.stage import Stage

_EARLY: Final = 15
_LATE: Final = 5
_MAILS_BEFORE_THE_KILL: Final = (1, 5, 9)
_WITHIN_S: Final = 120.0


async def kill_amid_requests(stage: Stage) -> str:
    """Kill the only worker when some of the early people have their mail, and start it again at once.

    The others' requests are in every state then. The late people request a code while no worker runs.
    """
    worker = await stage.start_worker()
    moments = islice(cycle(_MAILS_BEFORE_THE_KILL), stage.scale.rounds)
    recoveries = [await _recovery(stage, worker, mails) for mails in moments]
    return described(recoveries)


async def _recovery(stage: Stage, worker: LocalWorker, mails_before: int) -> Recovery:
    early = [stage.new_person() for _ in range(_EARLY)]
    late = [stage.new_person() for _ in range(_LATE)]
    people = [*early, *late]

    for person in early:
        stage.crowd.start(signs_in, person)
    await eventually(lambda: _have_mail(stage, early, mails_before), "the first mails", within_s=_WITHIN_S)

    killed_at = time.time()
    await stage.kill(worker)
    worker.launch()
    for person in late:
        stage.crowd.start(signs_in, person)

    at = {UP: await _answers_at(worker), ASSIGNED: await _is_assigned_at(worker)}
    at[MAILED] = max([await _mailed_at(stage, person) for person in people])
    await stage.crowd.wait_until_done()
    at[SIGNED_IN] = time.time()
    stage.recoveries_s.append(at[MAILED] - killed_at)

    requests = [await _history(stage, f"signin/{person.signin_id}/1") for person in people]
    mailboxes = [await _history(stage, f"mailbox/{stage.mailbox_pseudonym(person.address)}") for person in people]
    overdue = [one for history in (*requests, *mailboxes) for one in takeovers(history)]
    at[READ] = max(time_of(history[0]) for history in requests)
    at[TAKEN_OVER] = max((one.at for one in overdue), default=killed_at)

    at_s = {part: when - killed_at for part, when in at.items()}
    return Recovery(at_s, Counter(one.task for one in overdue))


async def _have_mail(stage: Stage, people: Sequence[Person], count: int) -> bool:
    addresses = {person.address for person in people}
    mails = [mail for mail in stage.servers.mail_server.mails if addresses.intersection(mail.recipients)]
    return len(mails) >= count


async def _answers_at(worker: LocalWorker) -> float:
    """Return when the worker first answered."""

    async def answers() -> bool:
        try:
            await rebalances(worker)
        except httpx.TransportError:
            return False
        return True

    await eventually(answers, "the worker answers", within_s=_WITHIN_S)
    return time.time()


async def _is_assigned_at(worker: LocalWorker) -> float:
    """Return when the worker had partitions again."""

    async def is_assigned() -> bool:
        return await rebalances(worker) > 0

    await eventually(is_assigned, "the worker has partitions", within_s=_WITHIN_S)
    return time.time()


async def _mailed_at(stage: Stage, person: Person) -> float:
    mail = await stage.servers.mail_server.mail_to(person.address, within_s=_WITHIN_S)
    return mail.received_at.timestamp()


async def _history(stage: Stage, workflow_id: str) -> list[HistoryEvent]:
    handle = stage.temporal.get_workflow_handle(workflow_id)
    return [event async for event in handle.fetch_history_events()]


CASES = (
    Case(
        "kill-amid-requests",
        "kill -9 of the only worker amid 20 requests, then a restart at once",
        kill_amid_requests,
    ),
)
