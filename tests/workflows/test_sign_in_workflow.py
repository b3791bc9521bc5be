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
    """The outcome names pseudonyms only, and the mail goes to the address as it was given."""
    handle = await stage.request(email="Ada@Example.com")
    outcome = await handle.result()

    assert outcome.status == "accepted"
    assert f"mailbox/{outcome.mailbox}" == stage.mailbox_id()

    await stage.wait_for_results(1)

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
async def test_an_unacceptable_request_is_rejected_and_reaches_no_mailbox(
    stage: Stage, changes: dict[str, Any], reason: str
) -> None:
    """The terminal result has the request's trace and, if the address is valid, the account."""
    stage.domains.without_mail.add("nowhere.example")
    handle = await stage.request(**changes)

    assert await handle.result() == SignInOutcome(status="rejected", reason=reason)

    (event,) = stage.publisher.published

    assert stage.outcomes(event.result.signin_id) == [f"signin.rejected {reason}"]
    assert event.traceparent is not None
    assert (event.result.account is None) == (reason == "invalid_email")
    assert stage.mailer.tried == []


async def test_a_stale_request_is_rejected_before_any_other_check(stage: Stage) -> None:
    """Neither DNS nor Turnstile is asked."""
    handle = await stage.request(born_at="2020-01-01T00:00:00Z")
    assert (await handle.result()).reason == "stale"
    assert stage.domains.asked == []
    assert stage.verifier.asked == []


async def test_a_request_is_rejected_if_siteverify_stays_down(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """After 30 s the check fails closed: no mail is sent (SECURITY S12)."""
    stage.verifier.down = True
    handle = await stage.request()

    assert (await skip_to_result(time_skipping, handle)).reason == "challenge_unavailable"

    described = await handle.describe()

    assert described.close_time is not None

    waited = described.close_time - described.start_time
    keys = {asked.idempotency_key for asked in stage.verifier.asked}

    assert timedelta(seconds=25) < waited < timedelta(seconds=35)
    assert len(keys) == 1
    assert len(stage.verifier.asked) > 8


async def test_siteverify_is_asked_again_after_a_short_outage(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """The durable step continues where the local one gave up."""
    stage.verifier.down = True
    with time_skipping.auto_time_skipping_disabled():
        handle = await stage.request()
        await until(lambda: len(stage.verifier.asked) >= 2)
        stage.verifier.down = False
        assert (await handle.result()).status == "accepted"


async def test_a_later_attempt_waits_for_the_first(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """If its event is read first, it waits for up to 60 s.

    Then the mailbox applies the cooldown.
    """
    signin_id = "overtaken-00000000000001"
    later = await stage.request(signin_id, attempt=2)
    await time_skipping.sleep(20)
    first = await stage.request(signin_id)

    assert (await first.result()).status == "accepted"

    await time_skipping.sleep(8)

    assert (await later.result()).status == "accepted"

    await stage.wait_for_results(2)

    assert stage.outcomes(signin_id) == ["signin.code_sent", "signin.resend_refused throttled"]


async def test_a_later_attempt_without_a_first_is_unknown(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """It is refused after 60 s and opens no sign-in. The result names the account."""
    signin_id = "alone-0000000000000001"
    later = await stage.request(signin_id, attempt=2)

    outcome = await skip_to_result(time_skipping, later)

    assert outcome == SignInOutcome(status="refused", reason="unknown_signin")
    assert 50 < await slept_s(later) <= 60
    assert stage.outcomes(signin_id) == ["signin.resend_refused unknown_signin"]
    assert stage.publisher.published[0].result.account == stage.account()
    assert stage.mailer.tried == []


async def test_a_later_attempt_of_a_rejected_sign_in_is_late(stage: Stage) -> None:
    """The sign-in has had its terminal result, so the attempt has none."""
    first = await stage.request(token="bad")
    await first.result()
    signin_id = first.id.split("/")[1]

    later = await stage.request(signin_id, attempt=2)

    assert (await later.result()).status == "late"
    assert stage.outcomes(signin_id) == ["signin.rejected challenge_failed"]


async def test_a_later_attempt_of_a_terminated_first_is_late(stage: Stage) -> None:
    """After an operator terminated attempt 1, nobody knows its mailbox."""
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
async def test_an_unacceptable_later_attempt_is_refused_by_the_mailbox(
    stage: Stage, time_skipping: WorkflowEnvironment, changes: dict[str, str], reason: str
) -> None:
    """The refusal comes after the results of attempt 1, and the sign-in goes on (SECURITY S6)."""
    first = await stage.request()
    await first.result()
    signin_id = first.id.split("/")[1]
    await stage.wait_for_results(1)
    await time_skipping.sleep(60)
    later = await stage.request(signin_id, attempt=2, **changes)

    assert await later.result() == SignInOutcome(status="refused", reason=reason)

    await stage.wait_for_results(2)
    await stage.submit(signin_id, stage.code())
    await stage.wait_for_results(3)

    assert stage.outcomes(signin_id) == [
        "signin.code_sent",
        f"signin.resend_refused {reason}",
        "signin.succeeded",
    ]
    assert {mail.recipient for mail in stage.mailer.tried} == {ADA}


async def test_a_result_is_published_until_kafka_takes_it(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """The rejection survives an outage of ten minutes."""
    stage.publisher.down = PublishUnavailable
    handle = await stage.request(token="bad")
    await time_skipping.sleep(600)
    stage.publisher.down = None
    assert (await skip_to_result(time_skipping, handle)).status == "rejected"
    assert len(stage.publisher.published) == 1


async def test_the_wait_for_the_first_attempt_is_a_setting(
    time_skipping: WorkflowEnvironment, unhurried: Client
) -> None:
    """Here a later attempt waits for 5 s."""
    policy = Policy(times=TimePolicy(first_attempt_wait_s=5))
    async with Stage(unhurried, time_skipping.get_current_time, policy).working() as stage:
        later = await stage.request("alone-0000000000000001", attempt=2)
        await skip_to_result(time_skipping, later)
        assert 3 < await slept_s(later) <= 5


async def skip_to_result(environment: WorkflowEnvironment, handle: WorkflowHandle[Any, SignInOutcome]) -> SignInOutcome:
    """Return a workflow's result. Let as much of the server's time pass as that takes."""
    async with asyncio.timeout(60):
        while (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
            await environment.sleep(1)
    return await handle.result()


async def slept_s(handle: WorkflowHandle[Any, Any]) -> float:
    """Return how long a workflow's timers ran, in seconds."""
    timers = [event.timer_started_event_attributes async for event in handle.fetch_history_events()]
    return sum(timer.start_to_fire_timeout.ToMilliseconds() for timer in timers) / 1_000
