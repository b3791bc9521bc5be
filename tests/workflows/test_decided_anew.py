"""A repeated workflow task may decide differently, but nobody outside can tell.

A decision is recorded only when its workflow task completes. Here a task is reset on a real
server, as if its worker had died before that.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from deploy.local.waiting import eventually
from schemas.policy import LimitPolicy, OtpPolicy, Policy
from schemas.results import ResultEvent, code_sent_id
from tests.fakes.resets import reset
from tests.fakes.stage import Stage
from tests.fakes.waiting import until

PUBLISH = "publish_result_activity"


class Publications(NamedTuple):
    """How many publications a history holds, by kind of activity."""

    durable: int
    local: int


async def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@pytest.mark.parametrize("changed", ["token", "domain"])
async def test_a_check_that_fails_after_the_hand_over_rejects_nothing(temporal_client: Client, changed: str) -> None:
    """The mailbox already has the sign-in, so a rejection would be a second terminal result."""
    async with Stage(temporal_client, now).working() as stage:
        signin_id = await stage.open_sign_in()
        if changed == "token":
            stage.verifier.answers.clear()  # the token is spent
        else:
            stage.domains.without_mail.add("example.com")

        await reset(temporal_client, f"signin/{signin_id}/1")
        handle = temporal_client.get_workflow_handle(f"signin/{signin_id}/1", result_type=dict)

        assert (await handle.result())["status"] == "left_to_mailbox"

        await stage.submit(signin_id, stage.code())
        await until(lambda: len(stage.outcomes(signin_id)) == 2)

        assert stage.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"]


async def test_a_rejection_stays_a_rejection_after_a_reset(temporal_client: Client) -> None:
    """The repeated result has the same id.

    History holds a rejection before it is published, so only an operator's reset decides again.
    Then the mailbox publishes it, because the task might have handed the sign-in over.
    """
    async with Stage(temporal_client, now).working() as stage:
        handle = await stage.request(token="bad")
        await handle.result()
        signin_id = handle.id.split("/")[1]
        await reset(temporal_client, handle.id)
        again = temporal_client.get_workflow_handle(handle.id, result_type=dict)

        assert (await again.result())["status"] == "left_to_mailbox"

        await until(lambda: len(stage.outcomes(signin_id)) == 2)
        first, second = (event for event in stage.publisher.published if event.result.signin_id == signin_id)

        assert first.event_id == second.event_id


async def test_a_mailbox_that_is_reset_sends_the_same_code_again(
    temporal_client: Client,
) -> None:
    """Another process sends it again. Both mails are alike, so the code in the first one still succeeds."""
    stage = Stage(temporal_client, now)
    async with stage.working():
        signin_id = await stage.open_sign_in()
        mailed = stage.code()
        await stage.submit(signin_id, "wrong")
        await until(lambda: "otp.rejected wrong_code" in stage.outcomes(signin_id))

    async with stage.working():
        await reset(temporal_client, stage.mailbox_id())
        await until(lambda: len(stage.mailer.sent) == 2)

        first, second = stage.mailer.sent

        assert second.code.get_secret_value() == mailed
        assert second.message_id == first.message_id

        await stage.submit(signin_id, mailed)
        await until(lambda: stage.outcomes(signin_id)[-1] == "signin.succeeded")


async def test_a_mailbox_that_is_reset_sends_no_second_mail_from_the_same_process(temporal_client: Client) -> None:
    """The process knows that it has sent this mail."""
    async with Stage(temporal_client, now).working() as stage:
        signin_id = await stage.open_sign_in()
        await reset(temporal_client, stage.mailbox_id())
        await until(lambda: len(stage.outcomes(signin_id)) == 2)

        assert stage.outcomes(signin_id) == ["signin.code_sent"] * 2
        assert len(stage.mailer.sent) == 1


async def test_only_what_history_decides_is_published_by_a_local_activity(temporal_client: Client) -> None:
    """These are ``code_sent`` and verdicts. Any other result could go out again with other bytes after a crash."""
    async with Stage(temporal_client, now).working() as stage:
        signin_id = await stage.open_sign_in()
        await stage.submit(signin_id, "wrong")
        await stage.submit(signin_id, stage.code())
        await until(lambda: len(stage.outcomes(signin_id)) == 3)
        again = await stage.open_sign_in()
        await (await stage.request(again, attempt=2)).result()
        await until(lambda: len(stage.outcomes(again)) == 2)
        rejected = await stage.request(token="bad")
        await rejected.result()
        by_mailbox = await count_publications(temporal_client, stage.mailbox_id())
        by_request = await count_publications(temporal_client, rejected.id)

    assert stage.outcomes(again)[-1] == "signin.resend_refused throttled"
    assert by_mailbox == Publications(durable=1, local=4)
    assert by_request == Publications(durable=1, local=0)


async def test_code_sent_is_the_same_after_another_attempt_and_other_limits(
    temporal_client: Client,
) -> None:
    """A worker publishes it and dies.

    Before it is published again, an attempt arrives under other limits.
    """
    policy = Policy(limits=LimitPolicy(send_cooldown_s=0))
    async with Stage(temporal_client, now, policy).working() as stage:
        signin_id = await stage.open_sign_in()
        changed = LimitPolicy(send_cooldown_s=30, sends_per_hour=3)
        stage.policy = stage.policy.model_copy(update={"limits": changed})
        await (await stage.request(signin_id, attempt=2)).result()
        await until(lambda: len(stage.outcomes(signin_id)) == 2)
        await reset(temporal_client, stage.mailbox_id(), await task_after_first_mail(stage))
        await until(lambda: len(stage.outcomes(signin_id)) == 4)
        await stage.submit(signin_id, stage.code())
        await until(lambda: stage.outcomes(signin_id)[-1] == "signin.succeeded")

    first_id = code_sent_id(signin_id, 1)

    assert are_same_bytes([event for event in stage.publisher.published if event.event_id == first_id])


async def test_code_sent_is_the_same_when_it_is_recorded_after_the_end(
    temporal_client: Client,
) -> None:
    """The sign-in expires in both runs. It must not fail as if no mail had been sent."""
    policy = Policy(otp=OtpPolicy(lifetime_s=5, shortest_resend_s=0))
    async with Stage(temporal_client, now, policy).working() as stage:
        signin_id = await stage.open_sign_in()
        await until(lambda: len(stage.outcomes(signin_id)) == 2, deadline_s=20)
        await reset(temporal_client, stage.mailbox_id(), await task_after_first_mail(stage))
        await until(lambda: len(stage.outcomes(signin_id)) == 4)

        assert stage.outcomes(signin_id) == ["signin.code_sent", "signin.expired"] * 2

        events = [event for event in stage.publisher.published if event.result.signin_id == signin_id]

        assert are_same_bytes(events[::2])


async def test_a_success_is_the_same_when_its_task_is_done_again_after_the_code_expired(
    temporal_client: Client,
) -> None:
    """The code was read in time, so it succeeds again, as of the same moment (SECURITY S2)."""
    policy = Policy(otp=OtpPolicy(lifetime_s=5, shortest_resend_s=0))
    async with Stage(temporal_client, now, policy).working() as stage:
        signin_id = await stage.open_sign_in()
        mailed = await task_after_first_mail(stage)
        other = await stage.request()
        await stage.submit(signin_id, stage.code())
        await until(lambda: "signin.succeeded" in stage.outcomes(signin_id))
        await until(lambda: "signin.expired" in stage.outcomes(other.id.split("/")[1]), deadline_s=20)
        await reset(temporal_client, stage.mailbox_id(), mailed)
        await until(lambda: stage.outcomes(signin_id).count("signin.succeeded") == 2)
        events = [event for event in stage.publisher.published if event.result.signin_id == signin_id]

    assert are_same_bytes([event for event in events if event.result.type == "signin.succeeded"])
    assert "signin.expired" not in stage.outcomes(signin_id)


async def task_after_first_mail(stage: Stage) -> int:
    """Return the id of the event that completed the workflow task after the first mail was accepted."""

    async def task_completed() -> int | None:
        history = await stage.mailbox().fetch_history()
        events = iter(history.events)
        any(event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED for event in events)
        after = (event for event in events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
        return next((event.event_id for event in after), None)

    return await eventually(task_completed, "the task after the mail has completed", within_s=10)


def are_same_bytes(events: Sequence[ResultEvent]) -> bool:
    """Tell whether several events make the same record."""
    records = {(event.key(), event.value(), tuple(event.headers())) for event in events}
    return len(events) > 1 and len(records) == 1


async def count_publications(client: Client, workflow_id: str) -> Publications:
    """Count the publications in a history."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
    markers = [event for event in history.events if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED]

    return Publications(
        durable=sum(attributes.activity_type.name == PUBLISH for attributes in scheduled),
        local=sum(PUBLISH.encode() in marker.SerializeToString() for marker in markers),
    )
