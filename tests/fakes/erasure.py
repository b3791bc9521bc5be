"""What Temporal holds about a mailbox, in memory."""

from typing import Any

from utils.temporal.erasure import Holdings, StoredRun


class FakeErasure:
    """Holds some runs, and notes what is deleted. ``stuck`` runs take longer than anybody waits."""

    def __init__(self, *runs: StoredRun, unreadable_requests: int = 0, stuck: tuple[StoredRun, ...] = ()) -> None:
        self.runs = list(runs)
        self.unreadable_requests = unreadable_requests
        self.deleted: list[StoredRun] = []
        self.asked: list[tuple[str, Any]] = []
        self._stuck = stuck

    def __call__(self, _client: object) -> "FakeErasure":
        """Stand in for the class."""
        return self

    async def find(self, mailbox: str, belongs: Any = None) -> Holdings:
        """Return the runs."""
        self.asked.append((mailbox, belongs))
        return Holdings(tuple(self.runs), self.unreadable_requests)

    async def delete(self, runs: tuple[StoredRun, ...]) -> tuple[StoredRun, ...]:
        """Note them."""
        self.deleted += runs
        return self._stuck
