"""What happens to a record as it comes in: decoded once, and given the lane that keeps its order."""

from dataclasses import dataclass, field

from activities.pseudonyms import Pseudonyms
from consumers.decode import Content, Decoder, ReceivedRequest, ReceivedSubmission
from consumers.outcomes import Rejected
from consumers.ports import Clock, ConsumerMetrics, Record, utc_now


@dataclass
class Delivery:
    """A record with what it says, and the lane within its partition in which order holds.

    ``postponed``: why it is not done yet, as the last try told; ``tries``: how many there have been.
    """

    record: Record
    content: Content
    lane: str
    postponed: str | None = field(default=None, compare=False)
    tries: int = field(default=1, compare=False)


class Intake:
    """Turns records into deliveries."""

    def __init__(
        self, decoder: Decoder, pseudonyms: Pseudonyms, metrics: ConsumerMetrics, clock: Clock = utc_now
    ) -> None:
        self._decoder = decoder
        self._pseudonyms = pseudonyms
        self._metrics = metrics
        self._clock = clock

    def receive(self, record: Record) -> Delivery:
        """Decode ``record`` and choose its lane: requests keep order per sign-in, submissions per mailbox."""
        content = self._decoder.decode(record, self._clock())
        if not isinstance(content, Rejected) and content.from_future:
            self._metrics.time_in_future(record.topic)
        return Delivery(record, content, self._lane(record, content))

    def _lane(self, record: Record, content: Content) -> str:
        match content:
            case ReceivedRequest(event=event):
                return f"signin/{event.signin_id}"
            case ReceivedSubmission(address=address):
                return f"mailbox/{self._pseudonyms.mailbox(address)}"
            case Rejected():
                return f"offset/{record.offset}"
