"""How activities end badly, in the words of Temporal."""

from temporalio.api.common.v1 import ActivityType
from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import (
    ActivityFailureInfo,
    ApplicationFailureInfo,
    CanceledFailureInfo,
    Failure,
    TimeoutFailureInfo,
)
from temporalio.bridge.proto.activity_result import ActivityResolution, Cancellation
from temporalio.exceptions import ApplicationError

from tests.fakes.workflow_instances import CONVERTER, FAILURES

START_TO_CLOSE = TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE
SCHEDULE_TO_CLOSE = TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE


def raised(error: ApplicationError) -> Failure:
    """Return an activity's own error."""
    failure = Failure()
    FAILURES.to_failure(error, CONVERTER, failure)
    return failure


def timed_out(which: "TimeoutType.ValueType") -> Failure:
    """Return that an activity took too long."""
    return Failure(message="activity timeout", timeout_failure_info=TimeoutFailureInfo(timeout_type=which))


def timed_out_locally() -> Failure:
    """Return that a local activity took too long."""
    return timed_out(START_TO_CLOSE)


def of_activity(name: str, cause: Failure, state: "RetryState.ValueType") -> Failure:
    """Return that an activity failed for good, and why. A local activity fails with the bare cause."""
    info = ActivityFailureInfo(activity_type=ActivityType(name=name), activity_id="1", retry_state=state)
    return Failure(message="activity error", activity_failure_info=info, cause=cause)


def cancelled_activity() -> ActivityResolution:
    """Return that an activity was cancelled."""
    cause = Failure(message="cancelled", canceled_failure_info=CanceledFailureInfo())
    return ActivityResolution(cancelled=Cancellation(failure=cause))


def is_final(failure: Failure, non_retryable: frozenset[str]) -> bool:
    """Tell whether an error forbids another try."""
    info: ApplicationFailureInfo = failure.application_failure_info
    return failure.HasField("application_failure_info") and (info.non_retryable or info.type in non_retryable)
