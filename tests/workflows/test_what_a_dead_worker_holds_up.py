"""How long each task waits for a worker that has died: every timeout is stated, and short (docs/adr/0031)."""

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes
from temporalio.client import WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from activities.errors import CodeExpired, MailRefused, MailUnavailable, UnknownKey
from activities.reporting import UNEXPECTED
from tests.fakes.stage import ADA, Stage
from workflows.timeouts import HEARTBEAT_TIMEOUT, WORKFLOW_TASK_TIMEOUT

MAIL = "send_email_activity"


async def test_the_tasks_of_a_mailbox_that_a_request_starts_time_out_soon(
    stage: Stage, time_skipping: WorkflowEnvironment
) -> None:
    """Another worker then takes over."""
    await stage.open_sign_in()
    history = await stage.mailbox().fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes

    assert started.workflow_task_timeout.ToTimedelta() == WORKFLOW_TASK_TIMEOUT


async def test_normal_activities_report_that_they_live(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """One that is silent for long is tried again."""
    await stage.open_sign_in()
    await time_skipping.sleep(301)
    await stage.wait_for_results(2)  # the second, that the code has expired, is no verdict on a code

    scheduled = _scheduled(await stage.mailbox().fetch_history())
    assert {one.activity_type.name for one in scheduled} == {MAIL, "publish_result_activity"}
    assert {one.heartbeat_timeout.ToTimedelta() for one in scheduled} == {HEARTBEAT_TIMEOUT}


async def test_the_rules_decide_when_a_mail_is_tried_again(stage: Stage, time_skipping: WorkflowEnvironment) -> None:
    """Temporal tries it again only if nobody knows how its try ended."""
    stage.mailer.always[ADA] = MailUnavailable
    request = await stage.request()
    await request.result()
    await time_skipping.sleep(10)

    scheduled = _scheduled(await stage.mailbox().fetch_history())
    final = {kind.__name__ for kind in (MailUnavailable, MailRefused, CodeExpired, UnknownKey)} | {UNEXPECTED}
    assert [one.activity_type.name for one in scheduled[:2]] == [MAIL, MAIL]
    assert set(scheduled[0].retry_policy.non_retryable_error_types) == final


def _scheduled(history: WorkflowHistory) -> list[ActivityTaskScheduledEventAttributes]:
    scheduled = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    return [event.activity_task_scheduled_event_attributes for event in history.events if event.event_type == scheduled]
