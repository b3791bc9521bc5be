"""Every partition: no gaps, nothing that nobody emitted, nothing acknowledged and gone, committed to its end."""

from collections import defaultdict

from tests.history_check.lines import Emitted, Log, Place, Position, Stored
from tests.history_check.violations import Violation, Violations


class Partitions:
    """Follows the next offset of each partition of every topic."""

    def __init__(self) -> None:
        self._next: dict[Place, int] = defaultdict(int)
        self._emitted: dict[Position, Emitted] = {}
        self._described: set[Place] = set()

    def emitted(self, record: Emitted) -> Violations:
        """Take a record that Kafka acknowledged."""
        if record.position in self._emitted:
            yield Violation("offsets", _name(*record.position), "two records were acknowledged at this offset")

        self._emitted[record.position] = record

    def advance(self, topic: str, partition: int, offset: int) -> Violations:
        """Take the next record that was read back from a partition."""
        expected = self._next[topic, partition]
        self._next[topic, partition] = offset + 1

        if offset != expected:
            yield Violation("offsets", _name(topic, partition, offset), f"offset {expected} was expected here")

    def take(self, stored: Stored) -> Emitted | None:
        """Return what was emitted at the position of a record."""
        return self._emitted.pop(stored.position, None)

    def described(self, log: Log, *, is_inbound: bool) -> Violations:
        """Take a partition's end, and the offset that the group committed."""
        place = (log.topic, log.partition)
        self._described.add(place)
        read = self._next[place]

        if read != log.end:
            yield Violation("offsets", _name(*place, log.end), f"the partition ends here, but its history at {read}")

        if is_inbound and log.end and log.committed != log.end:
            yield Violation("committed", _name(*place, log.end), f"the group committed {log.committed}")

    def finish(self) -> Violations:
        """Look for records that were acknowledged, but are not in their partition."""
        for position, record in self._emitted.items():
            yield Violation("lost", _name(*position), f"this {record.means} was acknowledged, but it is not in the log")

        for place in self._next.keys() - self._described:
            yield Violation("offsets", _name(*place, self._next[place]), "the end of this partition was not recorded")


def _name(topic: str, partition: int, offset: int) -> str:
    return f"{topic}/{partition}@{offset}"
