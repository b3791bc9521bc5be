"""The floor: workflows in the shape of ours that do nothing."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from tests.benchmarks.performance.floor_marks import mark


@workflow.defn(name="floor_request")
class FloorRequest:
    """One request."""

    @workflow.run
    async def run(self) -> None:
        """End."""


@workflow.defn(name="floor_lingerer")
class FloorLingerer:
    """One mailbox that has nothing to do but end."""

    @workflow.run
    async def run(self, seconds: float) -> None:
        """End after so many seconds."""
        await workflow.sleep(seconds)


@workflow.defn(name="floor_mailbox")
class FloorMailbox:
    """One mailbox: opened by a signal that starts it, ended by another."""

    def __init__(self) -> None:
        self._is_over = False

    @workflow.run
    async def run(self) -> None:
        """Wait for the second signal."""
        await workflow.wait_condition(lambda: self._is_over)
        mark("over", workflow.info().workflow_id)

    @workflow.signal(name="open")
    def open(self) -> None:
        """Be there."""
        mark("open", workflow.info().workflow_id)

    @workflow.signal(name="submit")
    def submit(self) -> None:
        """End."""
        self._is_over = True
