"""When a run of a mailbox must hand over to a new one.

A server warns of a run at 10,240 events and ends it at 51,200. An old run also keeps old
payload keys in use, and an old release at work. So a run is bounded in signals, in events
and in time, whatever comes in.
"""

from datetime import datetime, timedelta
from typing import Final

from temporalio import workflow

from workflows.rules.mailbox import Mailbox

MAX_EVENTS: Final = 2_000
"""From here on a run hands over as soon as it has no mail and no compare in flight."""

LAST_EVENTS: Final = 6_000
"""From here on it hands over within three seconds. A mail in flight may then be sent twice."""

MAX_AGE: Final = timedelta(days=1)
"""A run that is older hands over when it is at rest."""

LAST_AGE: Final = MAX_AGE + timedelta(hours=1)
"""One that is older still hands over though somebody waits."""

_LAST_JOBS_WITHIN: Final = timedelta(seconds=3)


class RunLimits:
    """Judges the current run by its signals, events and age, and by its release."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._signals = 0
        self._last_jobs_until: datetime | None = None

    def count_signal(self) -> None:
        """Count a signal that this run was sent."""
        self._signals += 1

    @property
    def are_reached(self) -> bool:
        """Whether the run has had its share, or another release is to serve the mailbox (docs/adr/0028)."""
        info = workflow.info()
        return (
            self._signals >= self._mailbox.state.policy.signals_per_run
            or info.get_current_history_length() >= MAX_EVENTS
            or info.is_continue_as_new_suggested()
            or info.is_target_worker_deployment_version_changed()
            or workflow.now() >= self._hand_over_at
        )

    @property
    def are_exceeded(self) -> bool:
        """Whether the run must end, even with a mail or a compare in flight."""
        return workflow.info().get_current_history_length() >= LAST_EVENTS

    def allow_last_jobs(self) -> bool:
        """Tell whether there is still time for the run's publications to end.

        There are three seconds, from the first time that this is asked.
        """
        if self._last_jobs_until is None:
            self._last_jobs_until = workflow.now() + _LAST_JOBS_WITHIN
        return workflow.now() < self._last_jobs_until

    def next_deadline(self) -> datetime | None:
        """Return when the run reaches a limit, if nothing else happens, or None if it has already."""
        now = workflow.now()
        moments = (self._last_jobs_until, self._hand_over_at)
        return min((moment for moment in moments if moment is not None and moment > now), default=None)

    @property
    def _hand_over_at(self) -> datetime:
        """When the run is too old. A mailbox that is about to end is left to do so."""
        started_at = workflow.info().workflow_start_time
        if not self._mailbox.is_at_rest or self._mailbox.needed_until <= started_at + LAST_AGE:
            return started_at + LAST_AGE
        return started_at + MAX_AGE
