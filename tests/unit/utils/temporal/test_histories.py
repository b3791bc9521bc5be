"""What is read from a workflow's history."""

import pytest
from temporalio.api.common.v1 import ActivityType
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure, TimeoutFailureInfo
from temporalio.api.history.v1 import (
    ActivityTaskCanceledEventAttributes,
    ActivityTaskScheduledEventAttributes,
    HistoryEvent,
)

from utils.temporal.histories import Activities, error_class

UNAVAILABLE = Failure(
    message="ada@example.com", application_failure_info=ApplicationFailureInfo(type="MailUnavailable")
)


@pytest.mark.parametrize(
    ("failure", "name"),
    [
        (UNAVAILABLE, "MailUnavailable"),
        (Failure(cause=UNAVAILABLE), "MailUnavailable"),
        (Failure(timeout_failure_info=TimeoutFailureInfo()), "TimeoutError"),
        (Failure(cause=Failure(timeout_failure_info=TimeoutFailureInfo())), "TimeoutError"),
        (Failure(application_failure_info=ApplicationFailureInfo(type="ada@example.com is away")), "Error"),
        (Failure(message="ada@example.com"), "Error"),
    ],
)
def test_an_error_is_shown_by_its_class(failure: Failure, name: str) -> None:
    """The text of an error, which may hold an address, is never shown."""
    assert error_class(failure) == name


def test_a_mail_that_was_cancelled_has_ended() -> None:
    """Its sign-in ended while it waited for its turn, so no worker ever started it."""
    scheduled = HistoryEvent(
        event_id=5,
        event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        activity_task_scheduled_event_attributes=ActivityTaskScheduledEventAttributes(
            activity_type=ActivityType(name="send_email_activity")
        ),
    )
    cancelled = HistoryEvent(
        event_id=9,
        event_type=EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
        activity_task_canceled_event_attributes=ActivityTaskCanceledEventAttributes(scheduled_event_id=5),
    )

    ended = Activities([scheduled, cancelled]).ended(cancelled)

    assert ended is not None
    assert (ended.name, ended.error) == ("send_email_activity", "CancelledError")
