"""The names that one worker goes by."""

import uuid
from dataclasses import dataclass

from workflows.names import mailbox_task_queue


@dataclass(frozen=True)
class Topics:
    """Names of the topics, and of the worker's group and task queue. On a shared server they get a prefix."""

    requested: str
    submitted: str
    results: str
    group_id: str
    task_queue: str

    @classmethod
    def named(cls, *, shared: bool, what: str = "demo") -> "Topics":
        """Return the contract's names, or fresh ones where others may be using those."""
        prefix = f"{what}-{uuid.uuid4().hex[:8]}." if shared else ""
        names = ("signin.requested", "otp.submitted", "signin.results", "signin-worker", "signin")
        return cls(*(prefix + name for name in names))

    @property
    def inbound(self) -> tuple[str, str]:
        """The two topics that the worker reads."""
        return self.requested, self.submitted

    @property
    def dead_letters(self) -> tuple[str, str]:
        """The two dead-letter topics."""
        return f"{self.requested}.dlt", f"{self.submitted}.dlt"

    @property
    def workflows(self) -> str:
        """The query for this worker's workflows: requests and mailboxes."""
        return f"TaskQueue IN ('{self.task_queue}', '{mailbox_task_queue(self.task_queue)}')"

    def settings(self) -> dict[str, str]:
        """Return the worker's settings for these names."""
        return {
            "SIGNIN_KAFKA__GROUP_ID": self.group_id,
            "SIGNIN_KAFKA__REQUESTED_TOPIC": self.requested,
            "SIGNIN_KAFKA__SUBMITTED_TOPIC": self.submitted,
            "SIGNIN_KAFKA__RESULTS_TOPIC": self.results,
            "SIGNIN_TEMPORAL__TASK_QUEUE": self.task_queue,
        }
