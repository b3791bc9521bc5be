"""Runs one idempotent step of a workflow: as a local activity first, then as a durable one.

A local activity costs no workflow task of its own but holds up the current one, so it gets
one second. If that is not enough, a dependency is slow or down: the step becomes a normal
activity, which operators can see and which is retried for as long as that makes sense.

A local activity is recorded only when its workflow task completes. If the worker dies
before that, no trace of it remains: another worker decides again, later and perhaps
differently. So a step that tells others about a decision is never local, unless history
held the decision, and everything that is published about it, before the task began
(``PublishResults.may_be_local``).
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

from workflows.timeouts import (
    HEARTBEAT_TIMEOUT,
    LOCAL_LIMIT,
    LOCAL_TIMEOUT,
    durable_retries,
    durable_timeout,
)

Task = TypeVar("Task")
Answer = TypeVar("Answer")


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
        return await run_local_step(activity, task)
    except (ActivityError, ApplicationError, TimeoutError) as error:
        # A local activity fails with its bare cause, not with an ``ActivityError``.
        if failure_type(error) in non_retryable:
            raise

    return await run_durable_step(activity, task, non_retryable=non_retryable, within=within)


async def run_local_step(activity: Callable[[Any, Task], Awaitable[Answer]], task: Task) -> Answer:
    """Try a local activity once. Raises ``FailureError``."""
    return await workflow.execute_local_activity_method(
        activity,
        task,
        start_to_close_timeout=LOCAL_TIMEOUT,
        schedule_to_close_timeout=LOCAL_LIMIT,
        retry_policy=RetryPolicy(maximum_attempts=1),
    )


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
        start_to_close_timeout=durable_timeout(within),
        schedule_to_close_timeout=within,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=durable_retries(non_retryable, within),
    )


def failure_type(error: FailureError) -> str | None:
    """Return the type of the error that an activity raised, or None for a timeout."""
    cause = _application_error(error)
    return None if cause is None else cause.type


def is_timeout(error: FailureError) -> bool:
    """Tell whether no worker has done the activity in time, rather than one failed to."""
    cause = error.cause if isinstance(error, ActivityError) else error
    return isinstance(cause, TimeoutError)


def failure_details(error: FailureError) -> Sequence[Any]:
    """Return what an activity said beside the type of its error."""
    cause = _application_error(error)
    return () if cause is None else cause.details


def _application_error(error: FailureError) -> ApplicationError | None:
    cause = error.cause if isinstance(error, ActivityError) else error
    return cause if isinstance(cause, ApplicationError) else None
