"""Events that come too early, too late, or for a workflow that an operator terminated."""

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
    """Return a plan: a wrong code arrives before its sign-in, then the right one follows."""

    async def plan(person: Person) -> None:
        person.expects_one_of((_SENT, _WRONG, _DONE), (_WRONG, _SENT, _DONE))
        await person.upstream.submit(person.signin_id, person.address, "00000000")
        await asyncio.sleep(by_s)
        await person.asks_for_code()
        await person.waits_for_results(2)
        await person.submits(await person.reads_mail(), results=3)

    return plan


async def types_without_sign_in(person: Person) -> None:
    """Submit a code for a sign-in that never comes."""
    person.expects(_UNKNOWN, mails=0)
    await person.upstream.submit(person.signin_id, person.address, "00000000")
    await person.waits_for_results(1)


async def types_after_the_end(person: Person) -> None:
    """Continue to submit codes and to request mails after the end."""
    person.expects(_SENT, _DONE)
    await person.asks_for_code()
    code = await person.reads_mail()
    await person.submits(code, results=2)
    for again in (code, mistyped(code)):
        await person.upstream.submit(person.signin_id, person.address, again)
    await person.asks_for_code(attempt=2)


def among_others(*plans: Plan) -> Callable[[Stage], Awaitable[str]]:
    """Return a case in which several people follow each of these plans while others sign in."""

    async def inject(stage: Stage) -> str:
        await stage.start_worker()
        async with stage.crowd.arriving(stage.scale.every_s):
            for _ in range(stage.scale.rounds):
                for plan in plans:
                    stage.crowd.start(plan)
                await asyncio.sleep(1)

        await stage.crowd.wait_until_done()
        await stage.wait_until_recovered()

        return f"{stage.scale.rounds} people with each plan"

    return inject


async def mailbox_terminated(stage: Stage) -> str:
    """Terminate a mailbox's workflow between mail and code: the sign-in is lost, but the mailbox can be used again."""
    await stage.start_worker()
    async with stage.crowd.arriving(stage.scale.every_s):
        for _ in range(stage.scale.rounds):
            await stage.crowd.start(_terminates_mailbox(stage))

    await stage.wait_until_recovered()
    return f"{stage.scale.rounds} mailboxes"


def _terminates_mailbox(stage: Stage) -> Plan:
    async def plan(person: Person) -> None:
        outcomes = ((_SENT, _UNKNOWN),)
        person.upstream.ledger.expect(person.signin_id, Expectation(person.address, outcomes, 1, terminated=True))
        await person.asks_for_code()
        code = await person.reads_mail()

        mailbox = mailbox_workflow_id(stage.mailbox_pseudonym(person.address))
        await stage.temporal.get_workflow_handle(mailbox).terminate("an operator's mistake")
        await person.submits(code, results=2)

        again = stage.new_person()
        again.address = person.address
        again.mails_before = 1
        await signs_in(again)

    return plan


async def sign_in_terminated(stage: Stage) -> str:
    """Terminate a request's workflow while it waits for siteverify: there is no mail and no result."""
    await stage.start_worker()
    for _ in range(stage.scale.rounds):
        person = stage.new_person()
        person.upstream.ledger.expect(person.signin_id, Expectation(person.address, ((),), 0, terminated=True))
        token = f"pass.{person.signin_id}.1"
        stage.servers.siteverify.script(token, *[Answer(status=503)] * 9)
        await person.asks_for_code(token=token)

        workflow_id = sign_in_workflow_id(person.signin_id, 1)
        await stage.eventually(partial(stage.workflow_exists, workflow_id), "the workflow was started")
        await stage.temporal.get_workflow_handle(workflow_id).terminate("an operator's mistake")
        await asyncio.sleep(1)
        await stage.crowd.start(signs_in)

    await stage.wait_until_recovered()

    return f"{stage.scale.rounds} requests"


CASES = (
    Case(
        "code-early",
        "codes 1 ms and 5 s before their sign-in, and without any sign-in",
        among_others(types_early(0.001), types_early(5), types_without_sign_in),
    ),
    Case("code-late", "codes and requests after a sign-in has ended", among_others(types_after_the_end)),
    Case("mailbox-terminated", "an operator terminates a mailbox's workflow", mailbox_terminated),
    Case("sign-in-terminated", "an operator terminates a request's workflow", sign_in_terminated),
)
