"""Events that come too early, too late, or for a workflow that an operator has ended."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from deploy.local.servers.siteverify import Answer
from tests.faults.case import Case
from tests.faults.ledger import Expectation
from tests.faults.people import Person, Plan, mistyped, signs_in
from tests.faults.stage import Stage
from workflows.names import mailbox_workflow_id, sign_in_workflow_id

_SENT = "signin.code_sent"
_DONE = "signin.succeeded"
_WRONG = "otp.rejected wrong_code (4 left)"
_UNKNOWN = "otp.rejected unknown_signin"


def types_early(by_s: float) -> Plan:
    """Return a plan: a wrong code comes before its sign-in, then the right one."""

    async def plan(person: Person) -> None:
        person.expects_one_of((_SENT, _WRONG, _DONE), (_WRONG, _SENT, _DONE))
        await person.wire.submit(person.signin_id, person.address, "00000000")
        await asyncio.sleep(by_s)
        await person.asks()
        await person.hears(2)
        await person.submits(await person.reads_mail(), results=3)

    return plan


async def types_for_nothing(person: Person) -> None:
    """Type a code for a sign-in that never comes."""
    person.expects(_UNKNOWN, mails=0)
    await person.wire.submit(person.signin_id, person.address, "00000000")
    await person.hears(1)


async def types_on(person: Person) -> None:
    """Go on typing codes, and asking, after the end."""
    person.expects(_SENT, _DONE)
    await person.asks()
    code = await person.reads_mail()
    await person.submits(code, results=2)
    for again in (code, mistyped(code)):
        await person.wire.submit(person.signin_id, person.address, again)
    await person.asks(attempt=2)


def among_others(*plans: Plan) -> Callable[[Stage], Awaitable[str]]:
    """Return a case: people with these plans, several of each, between the others."""

    async def inject(stage: Stage) -> str:
        await stage.start_worker()
        async with stage.crowd.coming(stage.scale.every_s):
            for _ in range(stage.scale.rounds):
                for plan in plans:
                    stage.crowd.send(plan)
                await asyncio.sleep(1)

        await stage.crowd.gone()
        await stage.recovered()

        return f"{stage.scale.rounds} people with each plan"

    return inject


async def mailbox_terminated(stage: Stage) -> str:
    """Terminate a mailbox between its mail and the code: the sign-in is gone, the mailbox is not."""
    await stage.start_worker()
    async with stage.crowd.coming(stage.scale.every_s):
        for _ in range(stage.scale.rounds):
            await stage.crowd.send(_whose_mailbox_is_terminated(stage))
    await stage.recovered()
    return f"{stage.scale.rounds} mailboxes"


def _whose_mailbox_is_terminated(stage: Stage) -> Plan:
    async def plan(person: Person) -> None:
        outcomes = ((_SENT, _UNKNOWN),)
        person.wire.ledger.expect(person.signin_id, Expectation(person.address, outcomes, 1, terminated=True))
        await person.asks()
        code = await person.reads_mail()
        mailbox = mailbox_workflow_id(stage.mailbox_of(person.address))
        await stage.temporal.get_workflow_handle(mailbox).terminate("an operator's mistake")
        await person.submits(code, results=2)
        again = stage.newcomer()
        again.address = person.address
        again.mails_before = 1
        await signs_in(again)

    return plan


async def sign_in_terminated(stage: Stage) -> str:
    """Terminate the workflow of a request while it waits for siteverify: no mail, no result."""
    await stage.start_worker()
    for _ in range(stage.scale.rounds):
        person = stage.newcomer()
        person.wire.ledger.expect(person.signin_id, Expectation(person.address, ((),), 0, terminated=True))
        stage.servers.siteverify.script(token := f"pass.{person.signin_id}.1", *[Answer(status=503)] * 9)
        await person.asks(token=token)
        workflow_id = sign_in_workflow_id(person.signin_id, 1)
        await stage.eventually(partial(stage.workflow_exists, workflow_id), "the workflow was started")
        await stage.temporal.get_workflow_handle(workflow_id).terminate("an operator's mistake")
        await asyncio.sleep(1)
        await stage.crowd.send(signs_in)

    await stage.recovered()

    return f"{stage.scale.rounds} requests"


CASES = (
    Case(
        "code-early",
        "codes 1 ms and 5 s before their sign-in, and for none at all",
        among_others(types_early(0.001), types_early(5), types_for_nothing),
    ),
    Case("code-late", "codes and requests after the end", among_others(types_on)),
    Case("mailbox-terminated", "an operator terminates a mailbox's workflow", mailbox_terminated),
    Case("sign-in-terminated", "an operator terminates a request's workflow", sign_in_terminated),
)
