"""A mailbox that receives thousands of signals while no worker runs.

A real server, because that has the limits.
"""

import asyncio
import uuid
from collections import Counter
from datetime import UTC, datetime

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from schemas.signals import Challenge
from tests.fakes.stage import ADA, Stage
from tests.fakes.waiting import until

_REQUESTS = 2_500
_AT_ONCE = 50


async def test_a_mailbox_survives_thousands_of_requests_at_once(
    temporal_client: Client,
) -> None:
    """Its five mails go out, every request has its result, and no workflow task fails.

    A server has room for 2,000 activities per workflow. With one activity per result, the
    workflow task would fail at every retry, and nobody could use that mailbox again.
    """

    async def now() -> datetime:
        return datetime.now(UTC)

    stage = Stage(temporal_client, now)
    await _flood(stage)
    async with stage.working():
        await until(lambda: len(stage.mailer.sent) == 5, 60)
        await until(lambda: len(_answered(stage)) == _REQUESTS, 60)

    events = Counter([event.event_type async for event in stage.mailbox().fetch_history_events()])

    assert events[EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED] == 0
    assert events[EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT] == 0
    assert events[EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED] < _REQUESTS / 10


def _answered(stage: Stage) -> set[str]:
    return {event.result.signin_id for event in stage.publisher.published}


async def _flood(stage: Stage) -> None:
    mailbox = stage.mailbox_id().split("/")[1]

    async def request() -> None:
        now = datetime.now(UTC)
        challenge = Challenge(
            signin_id=uuid.uuid4().hex,
            attempt=1,
            email=ADA,
            account=stage.account(),
            requested_at=now,
            born_at=now,
            decided_at=now,
            key_id="k",
            policy=stage.policy,
        )

        await stage.mailboxes.hand_over(mailbox, challenge, stage.policy)

    for _ in range(0, _REQUESTS, _AT_ONCE):
        await asyncio.gather(*(request() for _ in range(_AT_ONCE)))
