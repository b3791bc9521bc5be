"""Garbage: each record becomes a dead letter, with all that its emitter wrote. Nothing else does."""

from typing import Final

from tests.history_check.lines import DeadLetter, Emitted, Position
from tests.history_check.violations import Violation, Violations

_ERRORS: Final = {"not_json", "schema", "too_large", "refused", "unreadable"}


class DeadLetters:
    """Waits for the dead letter of each record of garbage."""

    def __init__(self) -> None:
        self.repeats = 0
        self._garbage: dict[Position, Emitted] = {}
        self._written: set[Position] = set()

    def expect(self, garbage: Emitted) -> None:
        """Take a record that cannot be handled."""
        self._garbage[garbage.position] = garbage

    def written(self, letter: DeadLetter) -> Violations:
        """Take a dead letter."""
        topic, partition, offset = letter.origin
        origin = (topic, partition, offset)
        where = f"{letter.topic}/{letter.partition}@{letter.offset}"
        self.repeats += origin in self._written
        self._written.add(origin)

        garbage = self._garbage.get(origin)
        if garbage is None:
            yield Violation("dead letters", where, f"its origin {origin} was no garbage")
        elif (letter.key, letter.value, letter.headers) != garbage.content:
            yield Violation("dead letters", where, "it is not byte for byte the original")

        if letter.error not in _ERRORS:
            yield Violation("dead letters", where, f"{letter.error} is no error of the contract")
        if letter.topic != f"{topic}.dlt":
            yield Violation("dead letters", where, f"its original was in {topic}")

    def finish(self) -> Violations:
        """Look for garbage that vanished."""
        for topic, partition, offset in self._garbage.keys() - self._written:
            yield Violation("lost", f"{topic}/{partition}@{offset}", "garbage without a dead letter")
