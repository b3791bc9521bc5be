"""Dead letters as an operator sees them, and which of them are meant."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from consumers.dead_letters.headers import Provenance, provenance_of
from consumers.dead_letters.replayed_offsets import ReplayedOffsets
from consumers.decode import readable_data
from consumers.ports import DeadLetterReader, Partition, Record, ReplayMark, ReplayStore
from schemas.fields import SignInId
from schemas.topics import inbound_topic

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SIGNIN_ID: Final = TypeAdapter(SignInId)


@dataclass(frozen=True)
class DeadLetter:
    """One record of a dead-letter topic, with what its headers and its value tell."""

    record: Record
    provenance: Provenance
    signin_id: str | None

    @property
    def place(self) -> str:
        """Where it lies: topic/partition/offset."""
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"

    @property
    def inbound_topic(self) -> str:
        """The only topic it may be put back on, whatever its headers say: the one of its dead-letter topic."""
        return inbound_topic(self.record.topic)

    @property
    def failed_at(self) -> datetime:
        """When it failed first; if that is not noted, when it was written here."""
        return self.provenance.failed_at or _instant(self.record.timestamp_ms)


@dataclass(frozen=True)
class Selection:
    """Which dead letters are meant: those that fit all that is given. ``until`` itself is not in it."""

    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    signin_id: str | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Tell whether ``letter`` is meant."""
        return (
            self.error in (None, letter.provenance.error)
            and self.signin_id in (None, letter.signin_id)
            and (self.since is None or letter.failed_at >= self.since)
            and (self.until is None or letter.failed_at < self.until)
        )


@dataclass
class PartitionRange:
    """One partition of dead letters as it was found: its offsets from ``first`` to before ``end``.

    ``noted`` is what Kafka remembers of what was put back, ``put_back`` the same to work with.
    """

    partition: Partition
    first: int
    end: int
    saved: ReplayMark | None
    replayed: ReplayedOffsets


def dead_letter(record: Record) -> DeadLetter:
    """Read what a record of a dead-letter topic tells. Never fails, whatever it holds."""
    return DeadLetter(record, provenance_of(record.headers), _signin_id(record))


async def partition_ranges(
    source: DeadLetterReader, memory: ReplayStore, topics: Sequence[str]
) -> list[PartitionRange]:
    """Look at the dead-letter topics as they are now. Raises ``KafkaUnavailable``."""
    found = []
    for topic in topics:
        for partition, (first, end) in sorted((await source.bounds(topic)).items()):
            noted = await memory.load(partition)
            found.append(PartitionRange(partition, first, end, noted, ReplayedOffsets.from_mark(noted, first, end)))
    return found


async def selected_letters(
    source: DeadLetterReader, partition_ranges: Sequence[PartitionRange], selection: Selection
) -> AsyncIterator[tuple[DeadLetter, bool]]:
    """Yield each selected letter, and whether it was put back. Raises ``KafkaUnavailable``."""
    for shelf in partition_ranges:
        async for record in source.read(shelf.partition, shelf.first, shelf.end):
            letter = dead_letter(record)
            if selection.takes(letter):
                yield letter, record.offset in shelf.replayed


def _instant(milliseconds: int) -> datetime:
    """Return the time; the beginning of the epoch for what is none."""
    try:
        return _EPOCH + timedelta(milliseconds=max(0, milliseconds))
    except OverflowError:
        return _EPOCH


def _signin_id(record: Record) -> str | None:
    """Return the sign-in's id by the value, or by the key, which should be the same."""
    data = readable_data(record)
    named = data.get("signin_id") if isinstance(data, dict) else None
    key = (record.key or b"").decode(errors="replace")
    return next((text for text in (named, key) if _is_signin_id(text)), None)


def _is_signin_id(value: Any) -> bool:
    try:
        _SIGNIN_ID.validate_python(value)
    except ValidationError:
        return False
    return True
