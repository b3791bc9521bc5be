"""One idempotent step of a workflow: local first, then durable; or durable from the start.

A local activity costs no task of its own but holds the workflow task, so it gets one second. If that was not enough, a
dependency is slow or down: the step becomes a normal activity, which operators see and which is tried again for as long
as it makes sense.

What a local activity did is not in history before its task is: a worker that dies in between leaves no trace of it, and
the next one decides anew, at another time and maybe otherwise. So nothing that tells others of a decision is local,
unless history held the decision, and all that is said of it, before the task began (``PublishResults.is_settled``).
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, TimeoutError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

LOCAL_TRY = timedelta(seconds=1)
DURABLE_TRY = timedelta(seconds=15)
FIRST_PAUSE = timedelta(seconds=1)


def durable_retries(never: Sequence[str], within: timedelta | None) -> RetryPolicy:
    """Return 1, 2, 4, … 30 s between tries, save for the error types named in ``never``.

    Where time is bounded, never more than a tenth of it: Temporal gives up as soon as the next try would not fit in.
    """
    longest = timedelta(seconds=30) if within is None else max(within / 10, FIRST_PAUSE)
    return RetryPolicy(
        initial_interval=FIRST_PAUSE,
        backoff_coefficient=2,
        maximum_interval=min(timedelta(seconds=30), longest),
        non_retryable_error_types=list(never),
    )


async def step(
    activity: Callable[[Any, Task], Awaitable[Answer]],
    task: Task,
    *,
    never: Sequence[str] = (),
    within: timedelta | None = None,
) -> Answer:
    """Run an activity, local first, that may run twice; ``within`` bounds all durable tries together.

    Raises ``FailureError`` if the time is over or the activity failed with a type named in ``never``.
    """
    try:
        return await workflow.execute_local_activity_method(
            activity,
            task,
            start_to_close_timeout=LOCAL_TRY,
            schedule_to_close_timeout=2 * LOCAL_TRY,
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
    except (ActivityError, ApplicationError, TimeoutError) as error:  # a local one fails with its bare cause
        if failure_type(error) in never:
            raise
    return await durable_step(activity, task, never=never, within=within)


async def durable_step(
    activity: Callable[[Any, Task], Awaitable[Answer]],
    task: Task,
    *,
    never: Sequence[str] = (),
    within: timedelta | None = None,
) -> Answer:
    """Run a normal activity: all that was decided so far stands in history before it begins. Raises as ``step``."""
    return await workflow.execute_activity_method(
        activity,
        task,
        start_to_close_timeout=DURABLE_TRY if within is None else min(DURABLE_TRY, within),
        schedule_to_close_timeout=within,
        retry_policy=durable_retries(never, within),
    )


def failure_type(error: FailureError) -> str | None:
    """Return the type of the error that an activity raised, None for a timeout."""
    cause = error.cause if isinstance(error, ActivityError) else error
    return cause.type if isinstance(cause, ApplicationError) else None
