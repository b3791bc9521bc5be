"""Runs one idempotent step of a workflow: as a local activity first, then as a durable one.

A local activity costs no workflow task of its own but holds up the current one, so it gets
one second. If that is not enough, a dependency is slow or down: the step becomes a normal
activity, which operators can see and which is retried for as long as that makes sense.

A local activity is recorded only when its workflow task completes. If the worker dies
before that, no trace of it remains: another worker decides again, later and perhaps
differently. So a step that tells others about a decision is never local, unless history
held the decision, and everything that is published about it, before the task began
(``PublishResults.is_reproducible``).
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    TimeoutError,
)

Task = TypeVar("Task")
Answer = TypeVar("Answer")

LOCAL_TIMEOUT = timedelta(seconds=1)
DURABLE_TIMEOUT = timedelta(seconds=15)
_FIRST_RETRY_INTERVAL = timedelta(seconds=1)
_MAX_RETRY_INTERVAL = timedelta(seconds=30)


async def run_step(
    activity: Callable[[Any, Task], Awaitable[Answer]],
    task: Task,
    *,
    non_retryable: Sequence[str] = (),
    within: timedelta | None = None,
) -> Answer:
    """Run an activity that may run twice: a local try first, then durable ones.

    ``within`` limits the durable tries together. Raises ``FailureError`` once that time is
    over, or if the activity fails with an error type in ``non_retryable``.
    """
    try:
        return await workflow.execute_local_activity_method(
            activity,
            task,
            start_to_close_timeout=LOCAL_TIMEOUT,
            schedule_to_close_timeout=2 * LOCAL_TIMEOUT,
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
    except (ActivityError, ApplicationError, TimeoutError) as error:
        # A local activity fails with its bare cause, not with an ``ActivityError``.
        if failure_type(error) in non_retryable:
            raise

    return await run_durable_step(activity, task, non_retryable=non_retryable, within=within)


async def run_durable_step(
    activity: Callable[[Any, Task], Awaitable[Answer]],
    task: Task,
    *,
    non_retryable: Sequence[str] = (),
    within: timedelta | None = None,
) -> Answer:
    """Run a normal activity: everything decided so far is in history before it begins.

    Raises the same errors as ``run_step``.
    """
    return await workflow.execute_activity_method(
        activity,
        task,
        start_to_close_timeout=DURABLE_TIMEOUT if within is None else min(DURABLE_TIMEOUT, within),
        schedule_to_close_timeout=within,
        retry_policy=_durable_retries(non_retryable, within),
    )


def failure_type(error: FailureError) -> str | None:
    """Return the type of the error that an activity raised, or None for a timeout."""
    cause = error.cause if isinstance(error, ActivityError) else error
    return cause.type if isinstance(cause, ApplicationError) else None


def _durable_retries(non_retryable: Sequence[str], within: timedelta | None) -> RetryPolicy:
    """Return a policy that waits 1, 2, 4, … up to 30 s between tries.

    With a time limit, a pause is at most a tenth of it: Temporal gives up as soon as the
    next try would not fit in.
    """
    longest = _MAX_RETRY_INTERVAL
    if within is not None:
        longest = min(longest, max(within / 10, _FIRST_RETRY_INTERVAL))

    return RetryPolicy(
        initial_interval=_FIRST_RETRY_INTERVAL,
        backoff_coefficient=2,
        maximum_interval=longest,
        non_retryable_error_types=list(non_retryable),
    )
