"""How long each activity may take, and when it is tried again.

Mails are sent only while there is time left until the code expires (``time_left``).
When a mail is tried again, ``workflows.rules.mails`` decides.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from schemas.policy import Policy

WORKFLOW_TASK_TIMEOUT = timedelta(seconds=5)
"""How long a worker may have a workflow task. If it dies, another gets the task after that."""
HEARTBEAT_TIMEOUT = timedelta(seconds=5)
"""How long a normal activity may be silent. If its worker dies, it is tried again after that."""
LOCAL_TIMEOUT = timedelta(seconds=1)
"""One local try. It holds up its workflow task."""
LOCAL_LIMIT = 2 * LOCAL_TIMEOUT
"""From scheduling a local try to its end."""
DURABLE_TIMEOUT = timedelta(seconds=15)
"""One try of a normal activity."""

_FIRST_RETRY_INTERVAL = timedelta(seconds=1)
_MAX_RETRY_INTERVAL = timedelta(seconds=30)
_SHORTEST_TIMEOUT = timedelta(milliseconds=1)
_MIN_COMPARE_TIME = timedelta(minutes=1)


def mail_timeout(policy: Policy) -> timedelta:
    """Return the timeout of one try to send a mail."""
    return timedelta(seconds=policy.times.mail_attempt_s)


def mail_retries(errors: Sequence[str]) -> RetryPolicy:
    """Return a policy that tries a mail again only if nobody knows how its try ended: its worker died or froze.

    ``errors`` are the types of errors with which a try can end.
    """
    return RetryPolicy(
        initial_interval=_FIRST_RETRY_INTERVAL,
        maximum_interval=_FIRST_RETRY_INTERVAL,
        non_retryable_error_types=list(errors),
    )


def challenge_limit(policy: Policy) -> timedelta:
    """Return how long Turnstile is tried in all."""
    return timedelta(seconds=policy.times.challenge_s)


def issue_limit(policy: Policy) -> timedelta:
    """Return how long a code's key may take to be chosen: as long as the code lives."""
    return timedelta(seconds=policy.otp.lifetime_s)


def time_left(until: datetime) -> timedelta:
    """Return the time left, at least a millisecond: a timeout must not be zero."""
    return max(until - workflow.now(), _SHORTEST_TIMEOUT)


def compare_time(until: datetime) -> timedelta:
    """Return how long a compare may take: until the code expires, but a minute at least.

    A submission that was read in time is compared even if nobody could do so in time.
    """
    return max(time_left(until), _MIN_COMPARE_TIME)


def durable_timeout(within: timedelta | None) -> timedelta:
    """Return the timeout of one durable try, capped by ``within``, the limit on all tries together."""
    return DURABLE_TIMEOUT if within is None else min(DURABLE_TIMEOUT, within)


def durable_retries(non_retryable: Sequence[str], within: timedelta | None) -> RetryPolicy:
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
