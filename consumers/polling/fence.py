"""What a consumer tells about partitions, for as long as it is the one."""

from collections.abc import Collection

from consumers.ports import AssignmentListener, Partition


class Fence:
    """Passes everything on until it is closed.

    A consumer that was left behind may be alive in parts: its coordinator can still come with an assignment, after its
    successor has got its own.
    """

    def __init__(self, listener: AssignmentListener) -> None:
        self._listener = listener
        self._is_open = True

    def close(self) -> None:
        """Pass nothing on any more."""
        self._is_open = False

    async def on_revoked(self, partitions: Collection[Partition]) -> None:
        """Let go of all partitions."""
        if self._is_open:
            await self._listener.on_revoked(partitions)

    async def on_assigned(self, partitions: Collection[Partition]) -> None:
        """Own these partitions."""
        if self._is_open:
            await self._listener.on_assigned(partitions)
