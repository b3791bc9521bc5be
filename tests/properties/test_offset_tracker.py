"""The offset tracker against a model that keeps everything."""

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from consumers.polling.offset_tracker import OffsetTracker, Ticket


class TrackerAgainstModel(RuleBasedStateMachine):
    """Offsets have gaps, finish in any order, and come again.

    A rebalance goes back to the watermark. A log that falls begins anew at any lower offset.
    """

    tickets: Bundle[Ticket] = Bundle("tickets")

    @initialize(start=st.integers(0, 5))
    def begin(self, start: int) -> None:
        """Begin the first assignment."""
        self.epoch = 1
        self.committed = start
        self._assign()

    def _assign(self) -> None:
        self.tracker = OffsetTracker(self.epoch)
        self.next = self.committed
        self.started: dict[int, float] = {}
        self.done: set[int] = set()
        self.known = False

    @rule(target=tickets, gap=st.integers(0, 3), timestamp_s=st.floats(0, 100))
    def track(self, gap: int, timestamp_s: float) -> Ticket:
        """Start a record, perhaps after a gap."""
        offset = self.next + gap
        ticket = self.tracker.track(offset, timestamp_s, -timestamp_s)

        assert ticket == (self.epoch, offset)

        self.started[offset] = timestamp_s
        self.next = offset + 1
        self.known = True

        return ticket

    @rule(back=st.integers(1, 5))
    def track_again(self, back: int) -> None:
        """Start no record twice."""
        if self.known:
            assert self.tracker.has_passed(self.next - back)
            assert self.tracker.track(self.next - back, 0, 0) is None

    @rule(ticket=consumes(tickets))
    def finish(self, ticket: Ticket) -> None:
        """Finish a record. One of an earlier assignment moves nothing."""
        before = self.tracker.watermark
        self.tracker.finish(ticket)

        if ticket.epoch == self.epoch:
            self.done.add(ticket.offset)
        else:
            assert self.tracker.watermark == before

    @rule(ticket=tickets)
    def finish_twice(self, ticket: Ticket) -> None:
        """Finish a record twice. The second time changes nothing."""
        self.tracker.finish(ticket)
        before = self.tracker.watermark
        self.tracker.finish(ticket)

        assert self.tracker.watermark == before

        if ticket.epoch == self.epoch:
            self.done.add(ticket.offset)

    @rule(ahead=st.integers(-3, 3))
    def skip(self, ahead: int) -> None:
        """Skip offsets without records. An outdated position moves nothing back."""
        offset = self.next + ahead
        self.tracker.skip_to(offset)
        self.next = max(self.next, offset) if self.known else offset
        self.known = True

    @rule(share=st.floats(0, 1, exclude_max=True))
    def fall(self, share: float) -> None:
        """Begin another log below what was read, within the assignment. Tickets of the old log move nothing."""
        if not self.known or self.next <= 0:
            return

        first = int(self.next * share)
        assert self.tracker.has_passed(first)

        self.epoch += 1
        self.committed = first
        self._assign()
        self.skip(0)

    @rule()
    def rebalance(self) -> None:
        """Start again from the watermark."""
        watermark = self.tracker.watermark
        self.committed = self.committed if watermark is None else watermark
        self.epoch += 1
        self._assign()

    @invariant()
    def the_tracker_agrees_with_the_model(self) -> None:
        """Expect the lowest offset started and not done as the watermark, else the next offset."""
        if not hasattr(self, "epoch"):
            return

        unfinished = self.started.keys() - self.done
        watermark = min(unfinished, default=self.next if self.known else None)

        assert self.tracker.watermark == watermark
        assert self.tracker.read_ahead == (0 if watermark is None else self.next - watermark)
        assert self.tracker.position == (self.next if self.known else None)

        head = min(unfinished, default=None)

        assert self.tracker.head == (None if head is None else (head, self.started[head], -self.started[head]))


TestTracker = TrackerAgainstModel.TestCase


def test_a_ticket_of_an_old_epoch_moves_nothing() -> None:
    """A record is in flight again when its first run ends. The state machine above rarely finds this case."""
    before = OffsetTracker(1)
    after = OffsetTracker(2)
    old = before.track(5, 0, 0)
    new = after.track(5, 0, 0)

    assert old is not None
    assert new is not None

    after.finish(old)

    assert after.watermark == 5

    after.finish(new)

    assert after.watermark == 6
