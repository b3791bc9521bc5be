"""``SignInWorkflow`` on Temporal's time-skipping server."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.errors import PublishUnavailable
from schemas.policy import Policy, TimePolicy
from schemas.signals import SignInOutcome
from tests.fakes.stage import ADA, Stage
from tests.fakes.waiting import until


async def test_an_acceptable_request_is_handed_to_its_mailbox(stage: Stage) -> None:
    """It ends accepted, under pseudonyms, and the mailbox sends the mail to the address as given."""
    handle = await stage.request(email="Ada@Example.com")
    outcome = await handle.result()
    assert outcome.status == "accepted"
    assert f"mailbox/{outcome.mailbox}" == stage.mailbox_id()
    await stage.published(1)
    assert [mail.recipient for mail in stage.mailer.sent] == ["Ada@Example.com"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"email": "nobody"}, "invalid_email"),
        ({"email": "ada@nowhere.example"}, "undeliverable_email"),
        ({"token": "bad"}, "challenge_failed"),
        ({"turnstile_token": None}, "challenge_failed"),
        ({"email": "nobody", "token": "bad"}, "invalid_email"),
    ],
)
async def test_an_unacceptable_request_is_rejected_and_no_mailbox_hears_of_it(
    stage: Stage, changes: dict[str, Any], reason: str
) -> None:
    """One terminal result, with the request's trace and, unless the address is none, the account."""
    stage.domains.without_mail.add("nowhere.example")
    handle = await stage.request(**changes)

    assert await handle.result() == SignInOutcome(status="rejected", reason=reason)

    (event,) = stage.publisher.published

    assert stage.outcomes(event.result.signin_id) == [f"signin.rejected {reason}"]
    assert event.traceparent is not None
    assert (event.result.account is None) == (reason == "invalid_email")
    assert stage.mailer.tried == []


async def test_a_stale_request_is_rejected_before_anything_is_asked(stage: Stage) -> None:
    """Neither DNS nor Turnstile hear of it."""
    handle = await stage.request(born_at="2020-01-01T00:00:00Z")
    assert (await handle.result()).reason == "stale"
    assert stage.domains.asked == []
    assert stage.verifier.asked == []


async def test_siteverify_away_for_too_long_fails_closed(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """After 30 s, no mail (SECURITY S12)."""
    stage.verifier.down = True
    handle = await stage.request()

    assert (await in_no_time(time_skipping, handle)).reason == "challenge_unavailable"

    described = await handle.describe()

    assert described.close_time is not None

    waited = described.close_time - described.start_time

    assert timedelta(seconds=25) < waited < timedelta(seconds=35)
    assert len({asked.idempotency_key for asked in stage.verifier.asked}) == 1
    assert len(stage.verifier.asked) > 8


async def test_siteverify_away_for_a_moment_is_asked_again(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """The durable step goes on where the local one gave up."""
    stage.verifier.down = True
    with time_skipping.auto_time_skipping_disabled():
        handle = await stage.request()
        await until(lambda: len(stage.verifier.asked) >= 2)
        stage.verifier.down = False
        assert (await handle.result()).status == "accepted"


async def test_a_later_attempt_waits_for_the_first(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """Its event was read first; within 60 s it finds attempt 1 accepted, and the cooldown is its mailbox's to see."""
    signin_id = "overtaken-00000000000001"
    later = await stage.request(signin_id, attempt=2)
    await time_skipping.sleep(20)
    first = await stage.request(signin_id)

    assert (await first.result()).status == "accepted"

    await time_skipping.sleep(8)

    assert (await later.result()).status == "accepted"

    await stage.published(2)

    assert stage.outcomes(signin_id) == ["signin.code_sent", "signin.resend_refused throttled"]


async def test_a_later_attempt_without_a_first_is_unknown(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """After 60 s, not before; it never opens a sign-in, and says for which account that was asked."""
    later = await stage.request("alone-0000000000000001", attempt=2)
    assert await in_no_time(time_skipping, later) == SignInOutcome(status="refused", reason="unknown_signin")
    assert 50 < await slept_s(later) <= 60
    assert stage.outcomes("alone-0000000000000001") == ["signin.resend_refused unknown_signin"]
    assert stage.publisher.published[0].result.account == stage.account()
    assert stage.mailer.tried == []


async def test_a_later_attempt_of_a_rejected_sign_in_is_late(stage: Stage) -> None:
    """No second result."""
    first = await stage.request(token="bad")
    await first.result()
    signin_id = first.id.split("/")[1]
    later = await stage.request(signin_id, attempt=2)
    assert (await later.result()).status == "late"
    assert stage.outcomes(signin_id) == ["signin.rejected challenge_failed"]


async def test_a_later_attempt_of_a_terminated_first_is_late(stage: Stage) -> None:
    """An operator has ended it: nobody knows its mailbox."""
    stage.publisher.down = PublishUnavailable
    first = await stage.request(token="bad")
    await first.terminate()
    later = await stage.request(first.id.split("/")[1], attempt=2)
    assert (await later.result()).status == "late"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": "bad"}, "challenge_failed"),
        ({"email": "eve@example.com"}, "account_mismatch"),
        ({"email": "ada+x@example.com"}, "account_mismatch"),
        ({"email": "nobody"}, "invalid_email"),
        ({"born_at": "2020-01-01T00:00:00Z"}, "stale"),
    ],
)
async def test_a_later_attempt_that_is_not_acceptable_is_refused_by_the_mailbox(
    stage: Stage, time_skipping: WorkflowEnvironment, changes: dict[str, str], reason: str
) -> None:
    """In order after the first one's results, and the sign-in goes on (SECURITY S6)."""
    first = await stage.request()
    await first.result()
    signin_id = first.id.split("/")[1]
    await stage.published(1)
    await time_skipping.sleep(60)
    later = await stage.request(signin_id, attempt=2, **changes)

    assert await later.result() == SignInOutcome(status="refused", reason=reason)

    await stage.published(2)
    await stage.submit(signin_id, stage.code())
    await stage.published(3)

    assert stage.outcomes(signin_id) == ["signin.code_sent", f"signin.resend_refused {reason}", "signin.succeeded"]
    assert {mail.recipient for mail in stage.mailer.tried} == {ADA}


async def test_a_result_is_published_until_kafka_takes_it(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """Kafka was away for ten minutes."""
    stage.publisher.down = PublishUnavailable
    handle = await stage.request(token="bad")
    await time_skipping.sleep(600)
    stage.publisher.down = None
    assert (await in_no_time(time_skipping, handle)).status == "rejected"
    assert len(stage.publisher.published) == 1


async def test_the_times_are_settings(time_skipping: WorkflowEnvironment, unhurried: Client) -> None:
    """Here attempt 1 is waited for 5 s."""
    policy = Policy(times=TimePolicy(first_attempt_wait_s=5))
    async with Stage(unhurried, time_skipping.get_current_time, policy).working() as stage:
        later = await stage.request("alone-0000000000000001", attempt=2)
        await in_no_time(time_skipping, later)
        assert 3 < await slept_s(later) <= 5


async def in_no_time(environment: WorkflowEnvironment, handle: WorkflowHandle[Any, SignInOutcome]) -> SignInOutcome:
    """Return a workflow's result, however much of the server's time it takes."""
    async with asyncio.timeout(60):
        while (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
            await environment.sleep(1)
    return await handle.result()


async def slept_s(handle: WorkflowHandle[Any, Any]) -> float:
    """Return for how long a workflow's timers ran, in seconds."""
    timers = [event.timer_started_event_attributes async for event in handle.fetch_history_events()]
    return sum(timer.start_to_fire_timeout.ToMilliseconds() for timer in timers) / 1_000
