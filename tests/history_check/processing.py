"""What Temporal was told: each request and each submission, once, and in the order of the log."""

import re
from collections import defaultdict
from typing import Final

from tests.history_check.lines import Emitted, Place, Signal, Workflow
from tests.history_check.violations import Violation, Violations

_REQUEST: Final = re.compile(r"signin/([^/]+)/(\d+)")
_HEALTHY: Final = {"RUNNING", "COMPLETED", "CONTINUED_AS_NEW"}


class Processing:
    """Compares Temporal's workflows and signals with the records of the log."""

    def __init__(self) -> None:
        self.repeated_signals = 0
        self._requests: set[tuple[str, int]] = set()
        self._submissions: dict[str, Emitted] = {}
        self._started: dict[tuple[str, int], float] = {}
        self._mailboxes: dict[str, str] = {}
        self._last: dict[tuple[str, Place], int] = defaultdict(lambda: -1)

    def expect(self, record: Emitted) -> None:
        """Take a record of the log, in the order of its partition."""
        if record.means == "request" and record.signin_id and record.attempt:
            self._requests.add((record.signin_id, record.attempt))
        elif record.submission_id:
            self._submissions.setdefault(record.submission_id, record)

    def started(self, workflow: Workflow) -> Violations:
        """Take a run of a workflow."""
        if workflow.status not in _HEALTHY:
            yield Violation("workflows", workflow.id, f"its run {workflow.run_id} is {workflow.status}")

        if found := _REQUEST.fullmatch(workflow.id):
            request = (found[1], int(found[2]))
            if request in self._started:
                yield Violation("doubled", workflow.id, "a request was applied twice")
            if request not in self._requests:
                yield Violation("workflows", workflow.id, "nobody emitted this request")

            self._started[request] = workflow.started

    def signalled(self, signal: Signal) -> Violations:
        """Take a submission that a mailbox was told, in the order of its history."""
        name = f"submission {signal.submission_id}"
        submission = self._submissions.get(signal.submission_id)
        if submission is None:
            yield Violation("workflows", name, "nobody emitted this submission")
            return

        mailbox = self._mailboxes.get(signal.submission_id)
        self._mailboxes[signal.submission_id] = signal.workflow
        if mailbox is not None:
            self.repeated_signals += 1
            if mailbox != signal.workflow:
                yield Violation("doubled", name, "two mailboxes were told of it")
            return

        lane = (signal.workflow, submission.position[:2])
        if submission.offset < self._last[lane]:
            yield Violation("order", name, f"it was applied after offset {self._last[lane]} of its partition")

        self._last[lane] = max(self._last[lane], submission.offset)

    def finish(self) -> Violations:
        """Look for records that never reached Temporal, and for attempts out of order."""
        for signin_id, attempt in self._requests - self._started.keys():
            yield Violation("lost", signin_id, f"attempt {attempt} never reached Temporal")

        for submission_id in self._submissions.keys() - self._mailboxes.keys():
            yield Violation("lost", f"submission {submission_id}", "it never reached Temporal")

        for (signin_id, attempt), started in self._started.items():
            if started < self._started.get((signin_id, attempt - 1), 0):
                yield Violation("order", signin_id, f"attempt {attempt} was started before the one before it")
