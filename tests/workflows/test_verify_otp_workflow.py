"""``VerifyOTPWorkflow`` on Temporal's time-skipping server."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from activities.errors import MailRefused, MailUnavailable, PublishUnavailable
from deploy.local.waiting import eventually
from schemas.mailbox import MailboxStatus, PendingMail
from tests.fakes.stage import ADA, Stage
from tests.fakes.waiting import until


async def test_the_code_of_the_mail_succeeds(stage: Stage) -> None:
    """A code may be typed with blanks, as people do."""
    signin_id = await stage.open_sign_in()
    code = stage.code()
    await stage.submit(signin_id, f" {code[:4]} {code[4:]}")
    await stage.wait_for_results(2)
    assert stage.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"]
    assert all(event.traceparent for event in stage.publisher.published)


async def test_the_fifth_wrong_code_fails_the_sign_in(stage: Stage) -> None:
    """The right code after that has no result."""
    signin_id = await stage.open_sign_in()
    for wrong in ("0", "00000000", "x" * 64, "1234567", "999999999"):
        await stage.submit(signin_id, wrong)

    await stage.submit(signin_id, stage.code())
    await stage.wait_for_results(7)

    assert stage.outcomes(signin_id) == [
        "signin.code_sent",
        *["otp.rejected wrong_code"] * 5,
        "signin.failed too_many_attempts",
    ]


async def test_a_sign_in_expires_300_s_after_its_first_mail(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """Sending the code again does not prolong it."""
    signin_id = await stage.open_sign_in()
    await time_skipping.sleep(60)
    await (await stage.request(signin_id, attempt=2)).result()
    await stage.wait_for_results(2)
    await time_skipping.sleep(241)
    await stage.wait_for_results(3)

    assert stage.outcomes(signin_id) == [
        "signin.code_sent",
        "signin.code_sent",
        "signin.expired",
    ]

    first, second = stage.mailer.sent

    assert first.code == second.code
    assert first.message_id != second.message_id


async def test_a_code_without_a_sign_in_is_unknown(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """It is rejected after 10 s."""
    signin_id = "nobody-000000000000000"
    await stage.submit(signin_id, "12345678")
    await time_skipping.sleep(9)

    assert stage.publisher.published == []

    await time_skipping.sleep(2)
    await stage.wait_for_results(1)

    assert stage.outcomes(signin_id) == ["otp.rejected unknown_signin"]


@pytest.mark.parametrize(("trusted", "priority"), [(True, 1), (False, 3)])
async def test_mails_of_trusted_devices_go_first(stage: Stage, trusted: bool, priority: int) -> None:
    """While mails wait for the rate of all workers, a priority orders them."""
    handle = await stage.request(client={"ip": "192.0.2.7", "trusted_device": trusted})
    await handle.result()
    await stage.wait_for_results(1)

    history = await stage.mailbox().fetch_history()
    scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
    (mail,) = [one for one in scheduled if one.activity_type.name == "send_email_activity"]

    assert mail.priority.priority_key == priority


async def test_a_mail_is_cancelled_when_its_sign_in_has_ended(
    stage: Stage,
    time_skipping: WorkflowEnvironment,
) -> None:
    """The mail server keeps the second mail waiting, and the person types the first one's code."""
    signin_id = await stage.open_sign_in()
    await time_skipping.sleep(60)

    with time_skipping.auto_time_skipping_disabled():
        stage.mailer.hold()
        await (await stage.request(signin_id, attempt=2)).result()
        await until(lambda: len(stage.mailer.tried) > 1)
        await stage.submit(signin_id, stage.code())
        await stage.wait_for_results(2)
        await eventually(lambda: _is_cancelled(stage), "the mail is cancelled", within_s=10)
        stage.mailer.release()
        await until(lambda: len(stage.mailer.sent) > 1)

    await time_skipping.sleep(1)

    assert stage.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"]
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in await _events(stage)


async def test_a_mail_is_retried_until_it_is_accepted(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """Every try has the same Message-ID and the same code."""
    stage.mailer.script(ADA, MailUnavailable, MailUnavailable, MailUnavailable)
    handle = await stage.request()
    await handle.result()
    for _ in range(3):
        await time_skipping.sleep(10)

    await stage.wait_for_results(1)

    assert len(stage.mailer.tried) == 4
    assert len({(mail.message_id, mail.code.get_secret_value()) for mail in stage.mailer.tried}) == 1


async def test_a_mail_that_is_never_accepted_fails_the_sign_in(
    stage: Stage, time_skipping: WorkflowEnvironment
) -> None:
    """It fails at the end of the code's lifetime, and the mail is not tried after that."""
    stage.mailer.always[ADA] = MailUnavailable
    handle = await stage.request()
    await handle.result()
    await time_skipping.sleep(301)
    await stage.wait_for_results(1)
    tried = len(stage.mailer.tried)

    assert stage.outcomes(handle.id.split("/")[1]) == ["signin.failed delivery_failed"]

    await time_skipping.sleep(100)

    assert len(stage.mailer.tried) == tried


async def test_a_refused_mail_ends_the_sign_in_at_once(stage: Stage) -> None:
    """A 5xx answer is final."""
    stage.mailer.always[ADA] = MailRefused
    handle = await stage.request()
    await handle.result()
    await stage.wait_for_results(1)

    assert stage.outcomes(handle.id.split("/")[1]) == ["signin.failed delivery_failed"]
    assert len(stage.mailer.tried) == 1


async def test_one_recipient_does_not_delay_another(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """A mail that cannot be sent does not hold up the mailbox's other sign-ins."""
    with time_skipping.auto_time_skipping_disabled():
        stage.mailer.always["ada+slow@example.com"] = MailUnavailable
        await (await stage.request(email="ada+slow@example.com")).result()
        signin_id = await stage.open_sign_in()
        await stage.submit(signin_id, stage.code())
        await until(lambda: stage.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"])


async def test_results_wait_for_kafka_in_order(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """An outage neither loses nor reorders results."""
    stage.publisher.down = PublishUnavailable
    handle = await stage.request()
    await handle.result()
    signin_id = handle.id.split("/")[1]
    await until(lambda: stage.mailer.sent)
    await stage.submit(signin_id, "wrong")
    await stage.submit(signin_id, stage.code())
    await time_skipping.sleep(100)

    assert stage.publisher.published == []

    stage.publisher.down = None
    await time_skipping.sleep(100)
    await stage.wait_for_results(3)

    assert stage.outcomes(signin_id) == [
        "signin.code_sent",
        "otp.rejected wrong_code",
        "signin.succeeded",
    ]


async def test_a_mailbox_remembers_for_a_day_and_ends(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """It takes one run and at most 40 events; a change that costs more shows here."""
    signin_id = await stage.open_sign_in()
    await stage.submit(signin_id, stage.code())
    await stage.wait_for_results(2)
    mailbox = stage.mailbox()
    remembered = MailboxStatus(live=0, waiting=0, unpublished=0, mails_last_day=1, failures_last_day=0)

    async def remembers() -> bool:
        return bool(await mailbox.query("status", result_type=MailboxStatus) == remembered)

    # Kafka has the last result a moment before the workflow knows that.
    await eventually(remembers, "nothing is live, one mail is remembered", within_s=20)
    await time_skipping.sleep(86_390)

    assert (await mailbox.describe()).status is WorkflowExecutionStatus.RUNNING

    await time_skipping.sleep(20)
    await mailbox.result()
    history = await mailbox.fetch_history()

    assert len(history.events) <= 40


async def test_an_error_in_the_rules_costs_one_sign_in_only(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sign-in concerned gets its terminal result, and the mailbox goes on."""
    with monkeypatch.context() as patch:
        patch.setattr(PendingMail, "__init__", broken)
        handle = await stage.request()
        await stage.wait_for_results(1)
    assert stage.outcomes(handle.id.split("/")[1]) == ["signin.failed delivery_failed"]
    await stage.open_sign_in()


def broken(*_: object, **__: object) -> None:
    """Fail as a bug would."""
    raise RuntimeError("a bug")


async def test_no_history_holds_a_code(stage: Stage) -> None:
    """This holds even without encryption (SECURITY S8)."""
    signin_id = await stage.open_sign_in()
    code = stage.code()
    await stage.submit(signin_id, "wrong")
    await stage.submit(signin_id, code)
    await stage.wait_for_results(3)

    for workflow_id in (f"signin/{signin_id}/1", stage.mailbox_id()):
        history = await stage.client.get_workflow_handle(workflow_id).fetch_history()
        assert code not in history.to_json()
        assert ADA not in workflow_id


async def _is_cancelled(stage: Stage) -> bool:
    return EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED in await _events(stage)


async def _events(stage: Stage) -> list["EventType.ValueType"]:
    history = await stage.mailbox().fetch_history()
    return [event.event_type for event in history.events]
