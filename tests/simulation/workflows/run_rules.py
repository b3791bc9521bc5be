"""What holds for runs: they end, and stay small."""

from collections.abc import Iterator, Sequence
from typing import Final

from schemas.mailbox import MailboxInput
from tests.simulation.workflows.runs import Run
from workflows import inbox, run_limits
from workflows.names import VERIFY_OTP_WORKFLOW
from workflows.rules import outbox

_LAST_SECONDS_EVENTS: Final = 320
"""What a run may gain while it waits for its last publications; twice that if each holds few results."""

_FEW: Final = 10


def judge_runs(runs: Sequence[Run]) -> Iterator[str]:
    """Yield runs that never end, begin with too much, or grow beyond the limit."""
    for run in runs:
        if run.is_open:
            yield f"{run.workflow_id}: a run never ends"
        if _carries_too_much(run):
            yield f"{run.workflow_id}: a run begins with a backlog"
        reads_one_by_one = inbox.MAX_SIGNALS_PER_BATCH < _FEW  # then each signal has a task of its own
        if run.length > run_limits.LAST_EVENTS + _last_events() and not reads_one_by_one:
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


def _last_events() -> int:
    return _LAST_SECONDS_EVENTS * (2 if outbox.MAX_RESULTS_PER_PUBLICATION < _FEW else 1)
