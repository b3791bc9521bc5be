"""Counts what became of records, and tells each once: one line of the log with all there is to know."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.handling.dispatch import Handler
from consumers.intake import Delivery
from consumers.outcomes import Applied, Duplicate, Ignored, Late, Outcome, Rejected
from consumers.ports import ConsumerMetrics

logger = logging.getLogger(__name__)

OUTCOME_NAMES: Final[Mapping[type[Outcome], str]] = {
    Applied: "applied",
    Duplicate: "duplicate",
    Late: "late",
    Ignored: "ignored",
    Rejected: "dead_lettered",
}
# What is read again for its age comes by the million, and says nothing that the counter does not.
_LEVELS: Final[Mapping[type[Outcome], int]] = {
    Late: logging.DEBUG,
    Ignored: logging.DEBUG,
    Rejected: logging.WARNING,
}


class Observed:
    """A handler around a handler, the outermost: a record counts once, when it is done."""

    def __init__(
        self, handler: Handler, metrics: ConsumerMetrics, stopwatch: Callable[[], float] = time.monotonic
    ) -> None:
        self._handler = handler
        self._metrics = metrics
        self._stopwatch = stopwatch

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return the handler's outcome, counted and told."""
        began = self._stopwatch()
        outcome = await self._handler(delivery)
        self._metrics.record_done(delivery.record.topic, OUTCOME_NAMES[type(outcome)])
        level = _LEVELS.get(type(outcome), logging.INFO)
        if logger.isEnabledFor(level):
            logger.log(level, "record", extra=_told(delivery, outcome, self._stopwatch() - began))
        return outcome


def _told(delivery: Delivery, outcome: Outcome, took_s: float) -> dict[str, object]:
    """Return the fields of the line. What a record says that can't be applied is not among them."""
    record, told = delivery.record, dict[str, object]()
    told |= {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    told |= {"outcome": OUTCOME_NAMES[type(outcome)], "took_s": round(took_s, 6), "tries": delivery.tries}
    if delivery.postponed is not None:
        told["postponed"] = delivery.postponed
    match delivery.content:
        case ReceivedRequest(event=request):
            told |= {"signin_id": request.signin_id, "attempt": request.attempt}
        case ReceivedSubmission(event=submission):
            told |= {"signin_id": submission.signin_id, "submission_id": submission.submission_id}
    if isinstance(outcome, Rejected):
        told |= {"error": outcome.error, "reason": outcome.reason}
    return told
