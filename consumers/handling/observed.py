"""Count what became of each record, and write one log line about it."""

import logging
import time
from collections.abc import Mapping
from typing import Final

from consumers.decode import Content, ReceivedRequest, ReceivedSubmission
from consumers.handling.dispatch import Handler
from consumers.intake import Delivery
from consumers.outcomes import Applied, Duplicate, Ignored, Late, Outcome, Rejected
from consumers.metrics import ConsumerMetrics
from consumers.ports import Stopwatch

logger = logging.getLogger(__name__)

_NAMES: Final[Mapping[type[Outcome], str]] = {
    Applied: "applied",
    Duplicate: "duplicate",
    Late: "late",
    Ignored: "ignored",
    Rejected: "dead_lettered",
}
_UNREADABLE: Final = "unreadable"
ALL_OUTCOMES: Final = (*_NAMES.values(), _UNREADABLE)
"""Every name that an outcome can have."""

# A topic that is read again yields millions of late and ignored records, and the
# counter says all there is to know.
_LEVELS: Final[Mapping[type[Outcome], int]] = {
    Late: logging.DEBUG,
    Ignored: logging.DEBUG,
    Rejected: logging.WARNING,
}


def outcome_name(outcome: Outcome) -> str:
    """Return the name by which an outcome is counted and logged.

    A batch that can't be decoded has one of its own.
    """
    if isinstance(outcome, Rejected) and outcome.error == "unreadable":
        return _UNREADABLE

    return _NAMES[type(outcome)]


class Observed:
    """The outermost handler: it counts and logs a record once, when the record is done."""

    def __init__(
        self,
        handler: Handler,
        metrics: ConsumerMetrics,
        stopwatch: Stopwatch = time.monotonic,
    ) -> None:
        self._handler = handler
        self._metrics = metrics
        self._stopwatch = stopwatch

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return the handler's outcome, counted and logged."""
        started_at = self._stopwatch()
        outcome = await self._handler(delivery)
        took_s = self._stopwatch() - started_at

        self._metrics.record_done(delivery.record.topic, outcome_name(outcome))

        level = _LEVELS.get(type(outcome), logging.INFO)
        if logger.isEnabledFor(level):
            logger.log(level, "record", extra=_log_fields(delivery, outcome, took_s))

        return outcome


def _log_fields(delivery: Delivery, outcome: Outcome, took_s: float) -> dict[str, object]:
    """Return the fields of the log line.

    A rejected record adds its error and reason, and nothing of its content.
    """
    fields = delivery.record.log_fields
    fields["outcome"] = outcome_name(outcome)
    fields["took_s"] = round(took_s, 6)
    fields["tries"] = delivery.tries

    if delivery.postponed is not None:
        fields["postponed"] = delivery.postponed

    fields |= _ids(delivery.content)

    if isinstance(outcome, Rejected):
        fields |= {"error": outcome.error, "reason": outcome.reason}

    return fields


def _ids(content: Content) -> dict[str, object]:
    match content:
        case ReceivedRequest(event=request):
            return {"signin_id": request.signin_id, "attempt": request.attempt}
        case ReceivedSubmission(event=submission):
            return {
                "signin_id": submission.signin_id,
                "submission_id": submission.submission_id,
            }
        case Rejected():
            return {}
