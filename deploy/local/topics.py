"""The names that set one worker apart from others on the same servers."""

import uuid
from dataclasses import dataclass

from schemas.topics import REQUESTED_TOPIC, RESULTS_TOPIC, SUBMITTED_TOPIC, dead_letter_topic
from workflows.names import mailbox_task_queue


@dataclass(frozen=True)
class Topics:
    """Names of the topics, and of the worker's consumer group and task queue."""

    requested: str
    submitted: str
    results: str
    group_id: str
    task_queue: str

    @classmethod
    def default(cls) -> "Topics":
        """Return the names that a worker goes by unless its settings say otherwise."""
        return cls._prefixed("")

    @classmethod
    def fresh(cls, purpose: str) -> "Topics":
        """Return names that nobody else uses. They start with ``purpose``."""
        return cls._prefixed(f"{purpose}-{uuid.uuid4().hex[:12]}.")

    @classmethod
    def _prefixed(cls, prefix: str) -> "Topics":
        return cls(
            requested=prefix + REQUESTED_TOPIC,
            submitted=prefix + SUBMITTED_TOPIC,
            results=prefix + RESULTS_TOPIC,
            group_id=f"{prefix}signin-worker",
            task_queue=f"{prefix}signin",
        )

    @property
    def inbound(self) -> tuple[str, str]:
        """The topics that the worker reads: requests, then submissions."""
        return self.requested, self.submitted

    @property
    def dead_letters(self) -> tuple[str, str]:
        """The dead-letter topics: of requests, then of submissions."""
        return dead_letter_topic(self.requested), dead_letter_topic(self.submitted)

    @property
    def workflows(self) -> str:
        """The visibility query that finds this worker's workflows."""
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
