"""The floor's workflows: the same shape as ours, but they do nothing."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from tests.benchmarks.performance.floor_marks import mark


@workflow.defn(name="floor_request")
class FloorRequest:
    """One request."""

    @workflow.run
    async def run(self) -> None:
        """End at once."""


@workflow.defn(name="floor_lingerer")
class FloorLingerer:
    """One mailbox that only waits and ends."""

    @workflow.run
    async def run(self, seconds: float) -> None:
        """End after ``seconds``."""
        await workflow.sleep(seconds)


@workflow.defn(name="floor_mailbox")
class FloorMailbox:
    """One mailbox: a signal starts it, and another signal ends it."""

    def __init__(self) -> None:
        self._has_ended = False

    @workflow.run
    async def run(self) -> None:
        """Wait for the second signal."""
        await workflow.wait_condition(lambda: self._has_ended)
        mark("over", workflow.info().workflow_id)

    @workflow.signal(name="open")
    def open(self) -> None:
        """Report that the mailbox is open."""
        mark("open", workflow.info().workflow_id)

    @workflow.signal(name="submit")
    def submit(self) -> None:
        """End the mailbox."""
        self._has_ended = True
