"""What holds for runs: they end, in time, and stay small."""

from collections.abc import Iterator, Sequence
from typing import Final

from schemas.mailbox import MailboxInput
from tests.simulation.workflows.runs import Run
from workflows import run_limits
from workflows.names import VERIFY_OTP_WORKFLOW
from workflows.rules import outbox

_MAX_AGE_S: Final = 25 * 3_600.0 + 30_000.0
"""A run hands over after a day, at rest, or an hour later, once there is a worker."""
_LAST_SECONDS_EVENTS: Final = 320
"""What a run may gain within the seconds that it has for its last publications."""


def judge_runs(runs: Sequence[Run]) -> Iterator[str]:
    """Yield runs that never end, or that were open for too long or grew beyond the limit while all was well."""
    for run in runs:
        if run.is_open:
            yield f"{run.workflow_id}: a run never ends"
        elif run.ended_at - run.began_at > _MAX_AGE_S:
            yield f"{run.workflow_id}: a run was open for {run.ended_at - run.began_at:.0f} s"
        if _carries_too_much(run):
            yield f"{run.workflow_id}: a run begins with a backlog"
        if run.length > run_limits.LAST_EVENTS + _LAST_SECONDS_EVENTS:
            yield f"{run.workflow_id}: a run of {run.length} events"


def _carries_too_much(run: Run) -> bool:
    """Tell whether a mailbox was given more results than a new run may have, of sign-ins that are over."""
    content = run.beginning.content.data
    if run.beginning.kind != VERIFY_OTP_WORKFLOW or "/overflow/" in run.workflow_id or b'"outbox":{"' not in content:
        return False

    carried = MailboxInput.model_validate_json(content).carried
    assert carried is not None
    ended = [len(events) for queue, events in carried.outbox.items() if queue not in carried.live]
    return sum(ended) > outbox.MAX_CARRIED_RESULTS
