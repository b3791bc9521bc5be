"""What is played to be recorded: every path of both workflows. A play returns the names and ids of its histories."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from activities.errors import MailRefused, MailUnavailable, PublishUnavailable
from schemas.policy import LimitPolicy, Policy
from tests.fakes.stage import ADA, Stage
from tests.fakes.waiting import until

Sleep = Callable[[float], Awaitable[None]]
"""Lets seconds of the server's time pass."""


@dataclass(frozen=True)
class Recording:
    """One history to keep: its name, and the workflow. ``run_id``: of that run, else of the newest."""

    name: str
    workflow_id: str
    run_id: str | None = None


Play = Callable[[Stage, Sleep], Awaitable[list[Recording]]]


async def succeeds(stage: Stage, _: Sleep) -> list[Recording]:
    """Type a wrong code, then the right one."""
    signin_id = await stage.signed_in()
    await stage.submit(signin_id, "wrong")
    await stage.submit(signin_id, stage.code())
    await stage.published(3)
    return [_attempt("accepted", signin_id), _mailbox("succeeded", stage)]


async def fails(stage: Stage, _: Sleep) -> list[Recording]:
    """Type five wrong codes, twice; then the account is locked."""
    for _once in range(2):
        signin_id = await stage.signed_in()
        for _try in range(5):
            await stage.submit(signin_id, "wrong")
        await until(partial(_has_failed, stage, signin_id))

    handle = await stage.request()
    await handle.result()
    await until(lambda: bool(stage.outcomes(handle.id.split("/")[1])))

    return [_mailbox("too_many_attempts_and_locked", stage)]


async def is_rejected(stage: Stage, _: Sleep) -> list[Recording]:
    """Ask in all ways that the request's own workflow rejects, but one."""
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


async def is_not_challenged(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Find siteverify away: the step becomes durable, and is given up after 30 s."""
    stage.verifier.down = True
    handle = await stage.request()
    while not stage.publisher.published:
        await sleep(1)
    await handle.result()
    return [Recording("rejected_challenge_unavailable", handle.id)]


async def asks_again(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Ask too early, then in time, then with another address; at last it expires."""
    signin_id = await stage.signed_in()
    await (await stage.request(signin_id, attempt=2)).result()
    await sleep(21)
    await (await stage.request(signin_id, attempt=3)).result()
    await stage.published(3)
    await (await stage.request(signin_id, attempt=4, email="eve@example.com")).result()
    await sleep(300)
    await stage.published(5)

    assert stage.outcomes(signin_id) == [
        "signin.code_sent",
        "signin.resend_refused throttled",
        "signin.code_sent",
        "signin.resend_refused account_mismatch",
        "signin.expired",
    ]

    later = [_attempt(name, signin_id, attempt) for name, attempt in (("resend", 3), ("resend_refused", 4))]

    return [*later, _mailbox("resent_and_expired", stage)]


async def comes_without_a_first(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Send attempt 2 without attempt 1, and a code for a sign-in that nobody knows."""
    signin_id = uuid.uuid4().hex
    handle = await stage.request(signin_id, attempt=2)
    await stage.submit(signin_id, "wrong")
    while len(stage.publisher.published) < 2:
        await sleep(1)
    await handle.result()
    return [Recording("resend_unknown", handle.id), _mailbox("unknown_signin", stage)]


async def gets_no_mail(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Meet a 4xx answer until the end, and a 5xx answer."""
    never, refused = "never@example.com", "refused@example.com"
    stage.mailer.always |= {never: MailUnavailable, refused: MailRefused}
    for address in (never, refused):
        await (await stage.request(email=address)).result()
    while len(stage.publisher.published) < 2:
        await sleep(5)
    return [_mailbox("delivery_failed_in_time", stage, never), _mailbox("delivery_refused", stage, refused)]


async def waits_for_kafka(stage: Stage, sleep: Sleep) -> list[Recording]:
    """Let results wait for a minute; a day later the mailbox has ended."""
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


async def goes_on_in_a_new_run(stage: Stage, _: Sleep) -> list[Recording]:
    """Continue-as-new with a live sign-in."""
    signin_id = await stage.signed_in()
    first = (await stage.mailbox().describe()).run_id
    for _try in range(3):
        await stage.submit(signin_id, "wrong")

    await stage.published(4)
    await stage.submit(signin_id, stage.code())
    await stage.published(5)

    return [_mailbox("first_run", stage, run_id=first), _mailbox("next_run", stage)]


PLAYS: Final[tuple[tuple[Play, Policy], ...]] = (
    (succeeds, Policy()),
    (fails, Policy()),
    (is_rejected, Policy()),
    (is_not_challenged, Policy()),
    # A local activity there goes by the real clock: a token of more than a minute later would be from the future.
    (asks_again, Policy(limits=LimitPolicy(send_cooldown_s=20))),
    (comes_without_a_first, Policy()),
    (gets_no_mail, Policy()),
    (waits_for_kafka, Policy()),
)
"""For the time-skipping server."""

UNHURRIED_PLAYS: Final[tuple[tuple[Play, Policy], ...]] = ((goes_on_in_a_new_run, Policy(signals_per_run=3)),)
"""For a real server: the time-skipping one loses signals that come during continue-as-new."""


def _has_failed(stage: Stage, signin_id: str) -> bool:
    return "signin.failed too_many_attempts" in stage.outcomes(signin_id)


def _attempt(name: str, signin_id: str, attempt: int = 1) -> Recording:
    return Recording(name, f"signin/{signin_id}/{attempt}")


def _mailbox(name: str, stage: Stage, email: str = ADA, run_id: str | None = None) -> Recording:
    return Recording(f"mailbox_{name}", stage.mailbox_id(email), run_id)
