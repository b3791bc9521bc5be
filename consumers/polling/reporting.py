"""Reports the state of the consumer: as metrics each time, in the log when a record holds its partition back."""

import asyncio

from consumers.polling.flow_control import FlowControl
from consumers.polling.head_of_line import HeadOfLine
from consumers.polling.lanes import Lanes
from consumers.polling.positions import Positions
from consumers.polling.reading import InFlight
from consumers.metrics import ConsumerMetrics, ConsumerSnapshot
from consumers.ports import Partition


class Reporter:
    """Reports at intervals, from a task of its own, so that a consumer that is stuck is reported too."""

    def __init__(
        self,
        positions: Positions,
        head_of_line: HeadOfLine,
        lanes: Lanes[InFlight],
        flow: FlowControl,
        metrics: ConsumerMetrics,
    ) -> None:
        self._positions = positions
        self._head_of_line = head_of_line
        self._lanes = lanes
        self._flow = flow
        self._metrics = metrics

    async def run(self, every_s: float) -> None:
        """Report until cancelled, then report that nothing is owned any more."""
        try:
            while True:
                await self._positions.refresh(every_s)
                self._report()
                await asyncio.sleep(every_s)
        finally:
            self._positions.close()
            self._metrics.observe(ConsumerSnapshot((), 0, self._flow.halted))

    def _report(self) -> None:
        positions = self._positions.all()
        in_flight = self._lanes.capacity.items
        self._metrics.observe(ConsumerSnapshot(positions, in_flight, self._flow.halted))
        self._head_of_line.check(self._positions.blocked(), self._reason)

    def _reason(self, partition: Partition, offset: int) -> str:
        for item in self._lanes.items():
            record = item.delivery.record
            if (record.topic_partition, record.offset) == (partition, offset):
                return item.delivery.postponed or self._default_reason()

        return self._default_reason()

    def _default_reason(self) -> str:
        return "halted" if self._flow.halted else "under_way"
