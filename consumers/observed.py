"""Counts what became of records."""

from collections.abc import Mapping
from typing import Final

from consumers.dispatch import Handler
from consumers.intake import Delivery
from consumers.outcomes import Applied, Duplicate, Ignored, Late, Outcome, Rejected
from consumers.ports import ConsumerMetrics

OUTCOME_NAMES: Final[Mapping[type[Outcome], str]] = {
    Applied: "applied",
    Duplicate: "duplicate",
    Late: "late",
    Ignored: "ignored",
    Rejected: "dead_lettered",
}


class Observed:
    """A handler around a handler, the outermost: a record counts once, when it is done."""

    def __init__(self, handler: Handler, metrics: ConsumerMetrics) -> None:
        self._handler = handler
        self._metrics = metrics

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return the handler's outcome, counted."""
        outcome = await self._handler(delivery)
        self._metrics.record_done(delivery.record.topic, OUTCOME_NAMES[type(outcome)])
        return outcome
