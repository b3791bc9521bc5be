"""The plays whose histories are recorded: every path of both workflows.

A play returns what to record.
"""

import asyncio
import secrets
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from activities.codes import CodeKeys
from activities.errors import MailRefused, MailUnavailable, PublishUnavailable
from schemas.limits import Clearing, LimitsReport
from schemas.policy import LimitPolicy, Policy
from tests.fakes.resets import reset
from tests.fakes.stage import ADA, Stage
from tests.fakes.waiting import until
from workflows.names import CLEAR_LIMITS_UPDATE
from workflows.rules.submissions import MAX_WAITING

Sleep = Callable[[float], Awaitable[None]]
"""Lets seconds of the server's time pass."""


@dataclass(frozen=True)
class Recording:
    """A history to keep: its name and its workflow.

    Without ``run_id``, the newest run is meant.
    """

    name: str
    workflow_id: str
    run_id: str | None = None


Play = Callable[[Stage, Sleep], Awaitable[list[Recording]]]


async def succeeds(stage: Stage, _: Sleep) -> list[Recording]:
    """Type a wrong code, then the right one."""
    signin_id = await stage.open_sign_in()
    await stage.submit(signin_id, "wrong")
    await stage.submit(signin_id, stage.code())
    await stage.wait_for_results(3)
    return [_attempt("accepted", signin_id), _mailbox("succeeded", stage)]


async def fails(stage: Stage, _: Sleep) -> list[Recording]:
    """Type five wrong codes in two sign-ins, which locks the account."""
    for _once in range(2):
        signin_id = await stage.open_sign_in()
        for _try in range(5):
            await stage.submit(signin_id, "wrong")
        await until(partial(_has_failed, stage, signin_id))

    handle = await stage.request()
    await handle.result()
    await until(lambda: bool(stage.outcomes(handle.id.split("/")[1])))

    return [_mailbox("too_many_attempts_and_locked", stage)]


async def is_rejected(stage: Stage, _: Sleep) -> list[Recording]:
    """Send a request for each reason to reject one, except that siteverify is down."""
    stage.domains.without_mail.add("nowhere.example")
    changes: dict[str, dict[str, Any]] = {
        "invalid_email": {"email": "nobody"},
        "undeliverable_email": {"email": "ada@nowhere.example"},
        "challenge_failed": {"token": "bad"},
        "stale": {"born_at": "2020-01-01T00:00:00Z"},
    }
    handles = {reason: await stage.request(**change) for reason, change in changes.items()}
    for handle in handles.values():
        await handle.result()

    return [Recording(f"rejected_{reason}", handle.id) for reason, handle in handles.items()]


async def meets_siteverify_down(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Send a request while siteverify is down: the step becomes durable and gives up after 30 s."""
    stage.verifier.down = True
    handle = await stage.request()
    while not stage.publisher.published:
        await sleep(1)
    await handle.result()

    return [Recording("rejected_challenge_unavailable", handle.id)]


async def asks_again(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Ask again too early, then in time, then for another address, and let the sign-in expire."""
    signin_id = await stage.open_sign_in()
    await (await stage.request(signin_id, attempt=2)).result()
    await sleep(21)
    await (await stage.request(signin_id, attempt=3)).result()
    await stage.wait_for_results(3)
    await (await stage.request(signin_id, attempt=4, email="eve@example.com")).result()
    await sleep(300)
    await stage.wait_for_results(5)

    assert stage.outcomes(signin_id) == [
        "signin.code_sent",
        "signin.resend_refused throttled",
        "signin.code_sent",
        "signin.resend_refused account_mismatch",
        "signin.expired",
    ]

    return [
        _attempt("resend", signin_id, 3),
        _attempt("resend_refused", signin_id, 4),
        _mailbox("resent_and_expired", stage),
    ]


async def comes_without_a_first(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Send attempt 2 without attempt 1, and a code for an unknown sign-in."""
    signin_id = uuid.uuid4().hex
    handle = await stage.request(signin_id, attempt=2)
    await stage.submit(signin_id, "wrong")
    while len(stage.publisher.published) < 2:
        await sleep(1)
    await handle.result()
    return [Recording("resend_unknown", handle.id), _mailbox("unknown_signin", stage)]


async def gets_no_mail(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Let the mail server answer 4xx until the end, and 5xx."""
    never = "never@example.com"
    refused = "refused@example.com"
    stage.mailer.always |= {never: MailUnavailable, refused: MailRefused}
    for address in (never, refused):
        await (await stage.request(email=address)).result()
    while len(stage.publisher.published) < 2:
        await sleep(5)

    return [
        _mailbox("delivery_failed_in_time", stage, never),
        _mailbox("delivery_refused", stage, refused),
    ]


async def waits_for_kafka(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Let results wait for Kafka for a minute, and the mailbox end a day later."""
    stage.publisher.down = PublishUnavailable
    handle = await stage.request()
    await handle.result()
    await until(lambda: bool(stage.mailer.sent))
    await stage.submit(handle.id.split("/")[1], stage.code())
    await sleep(60)
    stage.publisher.down = None
    while len(stage.publisher.published) < 2:
        await sleep(1)

    await sleep(86_500)
    await stage.mailbox().result()

    return [_mailbox("publication_outage_and_end", stage)]


async def has_limits_cleared(stage: Stage, _: Sleep) -> list[Recording]:
    """Let an operator clear the budgets of a mailbox with a live sign-in, in an update."""
    signin_id = await stage.open_sign_in()
    await stage.submit(signin_id, "wrong")
    await stage.wait_for_results(2)

    clearing = Clearing(account=stage.account(), mails=True, failures=True, operator="grace", masked="a***@e***.com")
    await stage.mailbox().execute_update(CLEAR_LIMITS_UPDATE, clearing, result_type=LimitsReport)

    return [_mailbox("limits_cleared", stage)]


async def is_flooded(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Submit more junk at once than may wait, then more codes than a sign-in has tries."""
    junk = 2 * MAX_WAITING
    await asyncio.gather(*(stage.submit(uuid.uuid4().hex, "junk") for _ in range(junk)))
    while len(stage.publisher.published) < junk:
        await sleep(1)

    signin_id = await stage.open_sign_in()
    await asyncio.gather(*(stage.submit(signin_id, "wrong") for _ in range(20)))
    await until(partial(_has_failed, stage, signin_id))

    return [_mailbox("flooded", stage)]


async def is_compared_durably(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Submit a code that is sealed under a key which the worker learns of only later."""
    signin_id = await stage.open_sign_in()
    known = stage.keys
    newer = CodeKeys({"newer": secrets.token_bytes(32)})

    stage.keys = newer
    await stage.submit(signin_id, stage.code())
    stage.keys = known
    await sleep(2)
    known._ring |= newer._ring
    while "signin.succeeded" not in stage.outcomes(signin_id):
        await sleep(1)

    return [_mailbox("compared_durably", stage)]


async def shows_its_state(stage: Stage, _: Sleep) -> list[Recording]:
    """Lock an account, in a namespace with search attributes."""
    for _once in range(2):
        signin_id = await stage.open_sign_in()
        for _try in range(5):
            await stage.submit(signin_id, "wrong")
        await until(partial(_has_failed, stage, signin_id))

    return [_mailbox("search_attributes", stage)]


async def is_checked_again_after_the_hand_over(stage: Stage, _: Sleep) -> list[Recording]:
    """Let a worker die right after its hand-over, and another find the token spent: the mailbox decides."""
    signin_id = await stage.open_sign_in()
    stage.verifier.answers.clear()

    await reset(stage.client, f"signin/{signin_id}/1")
    await stage.client.get_workflow_handle(f"signin/{signin_id}/1").result()
    await stage.submit(signin_id, stage.code())
    await stage.wait_for_results(2)

    return [_attempt("left_to_mailbox", signin_id), _mailbox("rejected_through_the_mailbox", stage)]


async def goes_on_in_a_new_run(stage: Stage, _: Sleep) -> list[Recording]:
    """Continue as new with a live sign-in."""
    signin_id = await stage.open_sign_in()
    first = (await stage.mailbox().describe()).run_id
    for _try in range(3):
        await stage.submit(signin_id, "wrong")

    await stage.wait_for_results(4)
    await stage.submit(signin_id, stage.code())
    await stage.wait_for_results(5)

    return [_mailbox("first_run", stage, run_id=first), _mailbox("next_run", stage)]


PLAYS: Final[tuple[tuple[Play, Policy], ...]] = (
    (succeeds, Policy()),
    (fails, Policy()),
    (is_rejected, Policy()),
    (meets_siteverify_down, Policy()),
    # Local activities use the real clock: a token from more than a minute later would be from the future.
    (asks_again, Policy(limits=LimitPolicy(send_cooldown_s=20))),
    (comes_without_a_first, Policy()),
    (gets_no_mail, Policy()),
    (waits_for_kafka, Policy()),
    (has_limits_cleared, Policy()),
    (is_flooded, Policy()),
    (is_compared_durably, Policy()),
)
"""Plays for the time-skipping server."""

UNHURRIED_PLAYS: Final[tuple[tuple[Play, Policy], ...]] = (
    (goes_on_in_a_new_run, Policy(signals_per_run=3)),
    (shows_its_state, Policy(search_attributes=True)),
    (is_checked_again_after_the_hand_over, Policy()),
)
"""Plays for a real server: the time-skipping one loses signals that arrive during continue-as-new.

Its namespace has the search attributes.
"""


def _has_failed(stage: Stage, signin_id: str) -> bool:
    return "signin.failed too_many_attempts" in stage.outcomes(signin_id)


def _attempt(name: str, signin_id: str, attempt: int = 1) -> Recording:
    return Recording(name, f"signin/{signin_id}/{attempt}")


def _mailbox(name: str, stage: Stage, email: str = ADA, run_id: str | None = None) -> Recording:
    return Recording(f"mailbox_{name}", stage.mailbox_id(email), run_id)
