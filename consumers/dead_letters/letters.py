"""Dead letters as an operator sees them, and the selection of some of them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from consumers.dead_letters.headers import Provenance, provenance_of
from consumers.dead_letters.replayed_offsets import ReplayedOffsets
from consumers.decode import readable_data
from consumers.ports import DeadLetterReader, Partition, Record, ReplayMark, ReplayStore, record_time
from schemas.fields import SignInId
from schemas.topics import inbound_topic

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SIGNIN_ID: Final = TypeAdapter(SignInId)


@dataclass(frozen=True)
class DeadLetter:
    """A record of a dead-letter topic, and what its headers and its value say."""

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
        """When it failed first.

        If the headers do not say, when it was written to the dead-letter topic, or else the beginning of the epoch.
        """
        return self.provenance.failed_at or record_time(self.record.timestamp_ms) or _EPOCH


@dataclass(frozen=True)
class Selection:
    """Which dead letters are meant: those that match every given field.

    ``since`` is included, ``until`` is not.
    """

    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    signin_id: str | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Tell whether ``letter`` is meant."""
        return (
            self.error in (None, letter.provenance.error)
            and self.signin_id in (None, letter.signin_id)
            and (self.since is None or letter.failed_at >= self.since)
            and (self.until is None or letter.failed_at < self.until)
        )


@dataclass
class PartitionRange:
    """A partition of dead letters at one moment: its offsets from ``first`` to before ``end``.

    ``saved`` is what Kafka stores of the offsets that were put back, ``replayed`` the
    same to work with.
    """

    partition: Partition
    first: int
    end: int
    saved: ReplayMark | None
    replayed: ReplayedOffsets


def dead_letter(record: Record) -> DeadLetter:
    """Read a record of a dead-letter topic.

    This never fails, whatever the record holds.
    """
    return DeadLetter(record, provenance_of(record.headers), _signin_id(record))


async def partition_ranges(reader: DeadLetterReader, store: ReplayStore, topics: Sequence[str]) -> list[PartitionRange]:
    """Look at the dead-letter topics as they are now. Raises ``KafkaUnavailable``."""
    ranges = []
    for topic in topics:
        bounds = await reader.bounds(topic)
        for partition, (first, end) in sorted(bounds.items()):
            saved = await store.load(partition)
            replayed = ReplayedOffsets.from_mark(saved, first, end)
            ranges.append(PartitionRange(partition, first, end, saved, replayed))

    return ranges


async def selected_letters(
    reader: DeadLetterReader, ranges: Sequence[PartitionRange], selection: Selection
) -> AsyncIterator[tuple[DeadLetter, bool]]:
    """Yield each selected letter, and whether it was put back.

    Raises ``KafkaUnavailable``.
    """
    for part in ranges:
        async for record in reader.read(part.partition, part.first, part.end):
            letter = dead_letter(record)
            if selection.matches(letter):
                yield letter, record.offset in part.replayed


def _signin_id(record: Record) -> str | None:
    """Return the sign-in's id from the value, or else from the key, which should be the same."""
    data = readable_data(record)
    in_value = data.get("signin_id") if isinstance(data, dict) else None
    in_key = (record.key or b"").decode(errors="replace")

    return next((text for text in (in_value, in_key) if _is_signin_id(text)), None)


def _is_signin_id(value: Any) -> bool:
    try:
        _SIGNIN_ID.validate_python(value)
    except ValidationError:
        return False
    return True
