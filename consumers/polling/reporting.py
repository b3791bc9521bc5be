"""Shows how the consumer stands: to the metrics every time, to the log when a record holds its partition back."""

import asyncio
from collections.abc import Callable

from consumers.polling.head_of_line import HeadOfLine
from consumers.intake import Delivery
from consumers.polling.lanes import Lanes
from consumers.polling.offset_tracker import Ticket
from consumers.ports import ConsumerMetrics, ConsumerSnapshot, Partition
from consumers.polling.positions import Positions

Work = tuple[Delivery, Ticket]


class Display:
    """Looks once every so often, from a task of its own: a loop that is stuck is shown, too."""

    def __init__(
        self,
        positions: Positions,
        head_of_line: HeadOfLine,
        lanes: Lanes[Work],
        metrics: ConsumerMetrics,
        halted: Callable[[], bool],
    ) -> None:
        self._positions = positions
        self._head_of_line = head_of_line
        self._lanes = lanes
        self._metrics = metrics
        self._halted = halted

    async def run(self, every_s: float) -> None:
        """Show how things are, until cancelled; then show that nothing is owned any more."""
        try:
            while True:
                await self._positions.refresh(every_s)
                self._metrics.observe(ConsumerSnapshot(self._positions.all(), self._lanes.in_flight, self._halted()))
                self._head_of_line.look(self._positions.held(), self._reason_of)
                await asyncio.sleep(every_s)
        finally:
            self._positions.close()
            self._metrics.observe(ConsumerSnapshot((), 0, self._halted()))

    def _reason_of(self, partition: Partition, offset: int) -> str:
        found = (
            each
            for each, ticket in self._lanes.items()
            if (each.record.topic_partition, ticket.offset) == (partition, offset)
        )
        postponed = next((each.postponed for each in found), None)
        return postponed or ("halted" if self._halted() else "under_way")
