"""The consumer's metrics in memory."""

from collections import Counter

from consumers.metrics import ConsumerSnapshot


class FakeConsumerMetrics:
    """Fulfils ``ConsumerMetrics``."""

    def __init__(self) -> None:
        self.done: Counter[tuple[str, str]] = Counter()
        self.postponed: Counter[str] = Counter()
        self.future: Counter[str] = Counter()
        self.limits: list[int] = []
        self.replaced_logs: Counter[str] = Counter()
        self.rebalances = 0
        self.rebuilds = 0
        self.snapshots: list[ConsumerSnapshot] = []

    def record_done(self, topic: str, outcome: str) -> None:
        """Count a record."""
        self.done[topic, outcome] += 1

    def call_postponed(self, reason: str) -> None:
        """Count a retry."""
        self.postponed[reason] += 1

    def limit_changed(self, limit: int) -> None:
        """Keep the limit."""
        self.limits.append(limit)

    def time_in_future(self, topic: str) -> None:
        """Count an event."""
        self.future[topic] += 1

    def rebalanced(self) -> None:
        """Count an assignment."""
        self.rebalances += 1

    def log_replaced(self, topic: str) -> None:
        """Count a log."""
        self.replaced_logs[topic] += 1

    def rebuilt(self) -> None:
        """Count a rebuild."""
        self.rebuilds += 1

    def observe(self, snapshot: ConsumerSnapshot) -> None:
        """Keep the snapshot."""
        self.snapshots.append(snapshot)
