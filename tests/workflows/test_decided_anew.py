"""What history does not hold is decided anew, later and maybe otherwise: nobody must be able to tell. A real server."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client

from schemas.policy import LimitPolicy, OtpPolicy, Policy
from schemas.results import ResultEvent, code_sent_id
from tests.fakes.stage import Stage
from tests.fakes.waiting import until

FIRST_TASK_ENDED = 4  # started, task scheduled, task started, task completed


async def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


async def decided_anew(client: Client, workflow_id: str, task_ended: int = FIRST_TASK_ENDED) -> None:
    """Take a task of a workflow back, as if its worker had died before its end; later signals come with it then."""
    described = await client.get_workflow_handle(workflow_id).describe()
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=described.run_id),
            workflow_task_finish_event_id=task_ended,
            request_id=uuid.uuid4().hex,
            reason="test",
        )
    )


@pytest.mark.parametrize("turned", ["token", "domain"])
async def test_a_verdict_that_turns_after_the_hand_over_rejects_nothing(temporal_client: Client, turned: str) -> None:
    """The mailbox has the sign-in: a rejection would be a second terminal result."""
    async with Stage(temporal_client, now).working() as stage:
        signin_id = await stage.signed_in()
        if turned == "token":
            stage.verifier.answers.clear()  # spent
        else:
            stage.domains.without_mail.add("example.com")

        await decided_anew(temporal_client, f"signin/{signin_id}/1")
        handle = temporal_client.get_workflow_handle(f"signin/{signin_id}/1", result_type=dict)

        assert (await handle.result())["status"] == "accepted"

        await stage.submit(signin_id, stage.code())
        await until(lambda: len(stage.outcomes(signin_id)) == 2)

        assert stage.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"]


async def test_a_rejection_that_turns_stays_one(temporal_client: Client) -> None:
    """It stood in history before it was published, so only an operator's reset decides anew; no mailbox was told."""
    async with Stage(temporal_client, now).working() as stage:
        handle = await stage.request(token="bad")
        await handle.result()
        signin_id = handle.id.split("/")[1]
        await decided_anew(temporal_client, handle.id)
        again = temporal_client.get_workflow_handle(handle.id, result_type=dict)

        assert (await again.result())["status"] == "rejected"

        first, second = (one for one in stage.publisher.published if one.result.signin_id == signin_id)

        assert first.event_id == second.event_id


async def test_a_mailbox_that_is_reset_sends_the_same_code_again(temporal_client: Client) -> None:
    """Nobody is left with a mail whose code is good for nothing; what was tried before is tried again by the rules."""
    async with Stage(temporal_client, now).working() as stage:
        signin_id = await stage.signed_in()
        mailed = stage.code()
        await stage.submit(signin_id, "wrong")
        await until(lambda: "otp.rejected wrong_code" in stage.outcomes(signin_id))
        await decided_anew(temporal_client, stage.mailbox_id())
        await until(lambda: len(stage.mailer.sent) == 2)

        assert [(mail.code.get_secret_value(), mail.message_id) for mail in stage.mailer.sent] == [
            (mailed, stage.mailer.sent[0].message_id)
        ] * 2

        await stage.submit(signin_id, mailed)
        await until(lambda: stage.outcomes(signin_id)[-1] == "signin.succeeded")


async def test_only_word_of_a_mail_is_published_by_a_local_activity(temporal_client: Client) -> None:
    """History holds no other decision by then: after a crash, the same id could go out with other bytes."""
    async with Stage(temporal_client, now).working() as stage:
        signin_id = await stage.signed_in()
        await stage.submit(signin_id, "wrong")
        await stage.submit(signin_id, stage.code())
        await until(lambda: len(stage.outcomes(signin_id)) == 3)
        rejected = await stage.request(token="bad")
        await rejected.result()
        counts = [await published(temporal_client, one) for one in (stage.mailbox_id(), rejected.id)]

    assert counts == [(2, 1), (1, 0)]


async def test_word_of_a_mail_is_the_same_whatever_came_before_it_was_recorded(temporal_client: Client) -> None:
    """A worker published it and died; another attempt, other numbers and a while later, it is published again."""
    policy = Policy(limits=LimitPolicy(send_cooldown_s=0))
    async with Stage(temporal_client, now, policy).working() as stage:
        signin_id = await stage.signed_in()
        changed = LimitPolicy(send_cooldown_s=30, sends_per_hour=3)
        stage.policy = stage.policy.model_copy(update={"limits": changed})
        await (await stage.request(signin_id, attempt=2)).result()
        await until(lambda: len(stage.outcomes(signin_id)) == 2)
        await decided_anew(temporal_client, stage.mailbox_id(), await task_that_heard_of_the_mail(stage))
        await until(lambda: len(stage.outcomes(signin_id)) == 4)
        await stage.submit(signin_id, stage.code())
        await until(lambda: stage.outcomes(signin_id)[-1] == "signin.succeeded")

    words = [one for one in stage.publisher.published if one.event_id == code_sent_id(signin_id, 1)]

    assert same_bytes(words)


async def test_word_of_a_mail_holds_when_it_is_recorded_after_the_end(temporal_client: Client) -> None:
    """The sign-in has expired then: a mail that nobody ever sent would contradict it."""
    policy = Policy(otp=OtpPolicy(lifetime_s=5, shortest_resend_s=0))
    async with Stage(temporal_client, now, policy).working() as stage:
        signin_id = await stage.signed_in()
        await until(lambda: len(stage.outcomes(signin_id)) == 2, deadline_s=20)
        await decided_anew(temporal_client, stage.mailbox_id(), await task_that_heard_of_the_mail(stage))
        await until(lambda: len(stage.outcomes(signin_id)) == 4)

        assert stage.outcomes(signin_id) == ["signin.code_sent", "signin.expired"] * 2
        assert same_bytes([one for one in stage.publisher.published if one.result.signin_id == signin_id][::2])


async def task_that_heard_of_the_mail(stage: Stage) -> int:
    """Return the id of the event with which the task ended that the end of the first mail brought about."""
    history = await stage.mailbox().fetch_history()
    kinds = [event.event_type for event in history.events]
    heard = kinds.index(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    return history.events[kinds.index(EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, heard)].event_id


def same_bytes(events: Sequence[ResultEvent]) -> bool:
    """Tell whether these are one record."""
    records = {(event.key(), event.value(), tuple(event.headers())) for event in events}
    return len(events) > 1 and len(records) == 1


async def published(client: Client, workflow_id: str) -> tuple[int, int]:
    """Return how many publications a history holds: normal ones, local ones."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
    normal = sum(one.activity_type.name == "publish_result_activity" for one in scheduled)
    markers = [event for event in history.events if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED]
    return normal, sum(b"publish_result_activity" in marker.SerializeToString() for marker in markers)
