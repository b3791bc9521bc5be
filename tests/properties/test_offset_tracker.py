"""The offset tracker against a model that keeps everything."""

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from consumers.polling.offset_tracker import OffsetTracker, Ticket


class TrackerAgainstModel(RuleBasedStateMachine):
    """Offsets come with gaps, end in any order, and come again; rebalances put everything back to the watermark."""

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
        self.begun: dict[int, float] = {}
        self.done: set[int] = set()
        self.known = False

    @rule(target=tickets, gap=st.integers(0, 3), stamp=st.floats(0, 100))
    def track(self, gap: int, stamp: float) -> Ticket:
        """Begin a record, perhaps after a gap."""
        offset = self.next + gap
        ticket = self.tracker.track(offset, stamp, -stamp)
        assert ticket == (self.epoch, offset)
        self.begun[offset] = stamp
        self.next, self.known = offset + 1, True
        return ticket

    @rule(back=st.integers(1, 5))
    def track_again(self, back: int) -> None:
        """Begin none twice."""
        if self.known:
            assert self.tracker.track(self.next - back, 0, 0) is None

    @rule(ticket=consumes(tickets))
    def finish(self, ticket: Ticket) -> None:
        """Finish a record; one of an earlier assignment moves nothing."""
        before = self.tracker.watermark
        self.tracker.finish(ticket)
        if ticket.epoch == self.epoch:
            self.done.add(ticket.offset)
        else:
            assert self.tracker.watermark == before

    @rule(ticket=tickets)
    def finish_twice(self, ticket: Ticket) -> None:
        """Finish a record twice: the second time changes nothing."""
        self.tracker.finish(ticket)
        before = self.tracker.watermark
        self.tracker.finish(ticket)
        assert self.tracker.watermark == before
        if ticket.epoch == self.epoch:
            self.done.add(ticket.offset)

    @rule(ahead=st.integers(-3, 3))
    def skip(self, ahead: int) -> None:
        """Pass over offsets without records; a stale position moves nothing back."""
        self.tracker.skip_to(self.next + ahead)
        self.next = max(self.next, self.next + ahead) if self.known else self.next + ahead
        self.known = True

    @rule()
    def rebalance(self) -> None:
        """Start again from the watermark."""
        watermark = self.tracker.watermark
        self.committed = self.committed if watermark is None else watermark
        self.epoch += 1
        self._assign()

    @invariant()
    def the_watermark_is_the_models(self) -> None:
        """Expect the lowest offset begun and not done, else the next to come."""
        if not hasattr(self, "epoch"):
            return

        unfinished = self.begun.keys() - self.done
        expected = min(unfinished, default=self.next if self.known else None)

        assert self.tracker.watermark == expected
        assert self.tracker.read_ahead == (0 if expected is None else self.next - expected)
        assert self.tracker.position == (self.next if self.known else None)

        head = min(unfinished, default=None)

        assert self.tracker.head == (None if head is None else (head, self.begun[head], -self.begun[head]))
        assert self.tracker.oldest_timestamp_s == min((self.begun[each] for each in unfinished), default=None)


TestTracker = TrackerAgainstModel.TestCase


def test_a_ticket_of_an_old_epoch_moves_nothing() -> None:
    """The record is under way once more, and its first run ends: the machine above may need luck to find this."""
    before, after = OffsetTracker(1), OffsetTracker(2)
    old = before.track(5, 0, 0)
    new = after.track(5, 0, 0)

    assert old is not None
    assert new is not None

    after.finish(old)

    assert after.watermark == 5

    after.finish(new)

    assert after.watermark == 6
