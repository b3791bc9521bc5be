"""What a recovery waited for, read from histories."""

from collections import Counter

import pytest
from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.failure.v1 import Failure, TimeoutFailureInfo
from temporalio.api.history.v1 import (
    ActivityTaskStartedEventAttributes,
    ActivityTaskTimedOutEventAttributes,
    HistoryEvent,
    WorkflowTaskTimedOutEventAttributes,
)

from tests.faults.recovery import PARTS, Recovery, Takeover, described, takeovers


def event(kind: EventType.ValueType, at_s: int) -> HistoryEvent:
    """Return an event."""
    made = HistoryEvent(event_type=kind)
    made.event_time.FromSeconds(at_s)
    return made


def silent() -> Failure:
    """Return the failure of an activity without heartbeats."""
    return Failure(timeout_failure_info=TimeoutFailureInfo(timeout_type=TimeoutType.TIMEOUT_TYPE_HEARTBEAT))


@pytest.mark.parametrize(
    ("limit", "task"),
    [
        (TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE, "workflow task begun"),
        (TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START, "workflow task not begun"),
    ],
)
def test_a_workflow_task_is_taken_over_when_the_next_one_starts(limit: TimeoutType.ValueType, task: str) -> None:
    """Not when it timed out: nobody may have been there. Tasks that nobody lost do not count."""
    overdue = event(EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, 5)
    overdue.workflow_task_timed_out_event_attributes.CopyFrom(WorkflowTaskTimedOutEventAttributes(timeout_type=limit))
    started = [event(EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED, at_s) for at_s in (1, 7, 9)]

    assert list(takeovers([started[0], overdue, *started[1:]])) == [Takeover(7, task)]


def test_an_activity_is_taken_over_with_its_next_try() -> None:
    """Its last try tells how the one before ended. One that ends by a timeout counts, too; another failure does not."""
    again = event(EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED, 6)
    again.activity_task_started_event_attributes.CopyFrom(ActivityTaskStartedEventAttributes(last_failure=silent()))
    failed = event(EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED, 7)
    failed.activity_task_started_event_attributes.last_failure.message = "refused"
    ended = event(EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, 8)
    ended.activity_task_timed_out_event_attributes.CopyFrom(ActivityTaskTimedOutEventAttributes(failure=silent()))

    assert list(takeovers([again, failed, ended])) == [Takeover(6, "activity silent"), Takeover(8, "activity silent")]


def test_medians_are_shown_with_their_parts() -> None:
    """And what timed out in all recoveries."""
    recoveries = [
        Recovery(dict.fromkeys(PARTS, at_s), Counter({"activity silent": count}))
        for at_s, count in ((1, 2), (3, 1), (9, 0))
    ]
    text = described(recoveries)

    assert text.startswith("after the kill, medians of 3: worker up 3.0 s, partitions assigned 3.0 s, ")
    assert text.endswith("last mail 3.0 s, all signed in 3.0 s; tasks that timed out: 3 × activity silent")
