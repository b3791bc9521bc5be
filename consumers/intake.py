"""Receive records: decode each one once and choose the lane that keeps its order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from activities.pseudonyms import Pseudonyms
from consumers.decode import Content, ReceivedRequest, ReceivedSubmission, decode_request, decode_submission
from consumers.outcomes import Rejected
from consumers.metrics import ConsumerMetrics
from consumers.ports import Clock, Record, utc_now


Decode = Callable[[Record, datetime], Content]


@dataclass
class Delivery:
    """A record, its content, and its lane: order holds between the records of one lane in one partition.

    ``postponed``: why the last try did not finish it. ``tries``: how many there were.
    """

    record: Record
    content: Content
    lane: str
    postponed: str | None = field(default=None, compare=False)
    tries: int = field(default=1, compare=False)


class Intake:
    """Turns records into deliveries."""

    def __init__(
        self,
        requested_topic: str,
        submitted_topic: str,
        pseudonyms: Pseudonyms,
        metrics: ConsumerMetrics,
        clock: Clock = utc_now,
    ) -> None:
        self._decode: dict[str, Decode] = {
            requested_topic: decode_request,
            submitted_topic: decode_submission,
        }
        self._pseudonyms = pseudonyms
        self._metrics = metrics
        self._clock = clock

    def receive(self, record: Record) -> Delivery:
        """Decode ``record`` and choose its lane. Raises ``KeyError`` for any other topic."""
        content = self._decode[record.topic](record, self._clock())
        if not isinstance(content, Rejected) and content.from_future:
            self._metrics.time_in_future(record.topic)

        return Delivery(record, content, self._lane(record, content))

    def _lane(self, record: Record, content: Content) -> str:
        """Keep requests in order per sign-in, submissions per mailbox."""
        match content:
            case ReceivedRequest(event=event):
                return f"signin/{event.signin_id}"
            case ReceivedSubmission(address=address):
                return f"mailbox/{self._pseudonyms.mailbox(address)}"
            case Rejected():
                return f"offset/{record.offset}"
