"""What CONTRACT promises about a dead letter: the record's bytes, and headers that say where it came from and why."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from consumers.ports import Headers
from schemas.dead_letters import DltHeader
from tests.simulation.consumer.batches import Batch
from tests.simulation.consumer.events import GROUP, Event, Origin

_OWN: Final = "dlt-"
_TIME: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Letter(NamedTuple):
    """A dead letter as it was written."""

    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def own(self) -> dict[str, bytes]:
        """The headers that the worker added."""
        return {name: value or b"" for name, value in self.headers if name.startswith(_OWN)}

    @property
    def origin(self) -> Origin:
        """Where it says that it came from."""
        return origin_in(self.own)


@dataclass(frozen=True)
class Written:
    """A record at an offset, or a batch that cannot be read (``event`` is None)."""

    offset: int
    last: int
    batch: Batch
    event: Event | None = None

    @property
    def timestamp_ms(self) -> int | None:
        """The time of the record, or None if it cannot be read."""
        contents = (content for content in self.batch.contents if self.batch.base + content.delta == self.offset)
        return next((content.timestamp_ms for content in contents), None)


def origin_in(own: dict[str, bytes]) -> Origin:
    """Read where a dead letter came from."""
    return own[DltHeader.TOPIC].decode(), int(own[DltHeader.PARTITION]), int(own[DltHeader.OFFSET])


def fits(letter: Letter, written: Written, max_bytes: int | None) -> bool:
    """Tell whether a dead letter has the bytes of its record: all of them, unless its topic does not take so many."""
    event = written.event
    if event is None:
        return letter.own.get(DltHeader.LAST_OFFSET) == str(written.last).encode() and letter.value is None

    is_shortened = max_bytes is not None and len(event.value or b"") > max_bytes
    kept = tuple(header for header in event.headers if not header[0].startswith(_OWN))
    is_exact = (letter.key, letter.value) == (event.key, None if is_shortened else event.value)
    return event.fate == "dead letter" and is_exact and letter.headers[: len(kept)] == kept


def wrong_headers(letter: Letter, written: Written) -> Iterator[str]:
    """Yield the names of the headers that do not say the truth. The bytes fit."""
    expected = {
        DltHeader.GROUP: GROUP.encode(),
        DltHeader.ERROR: b"unreadable" if written.event is None else written.event.error.encode(),
        DltHeader.ATTEMPTS: b"1",
    }
    if written.timestamp_ms is not None:
        expected[DltHeader.TIMESTAMP] = str(written.timestamp_ms).encode()
    if written.event is not None and written.event.origin is not None:
        before = {name: value or b"" for name, value in written.event.headers}
        kept = (DltHeader.TIMESTAMP, DltHeader.FAILED_AT)
        expected |= {name: before[name] for name in kept}
        expected[DltHeader.ATTEMPTS] = b"%d" % (int(before[DltHeader.ATTEMPTS]) + 1)

    value = None if written.event is None else written.event.value
    if value is not None and letter.value is None:
        expected[DltHeader.VALUE_SIZE] = b"%d" % len(value)
        expected[DltHeader.VALUE_SHA256] = hashlib.sha256(value).hexdigest().encode()

    yield from (name for name, text in expected.items() if letter.own.get(name) != text)
    if not letter.own.get(DltHeader.REASON):
        yield DltHeader.REASON
    if not _TIME.fullmatch(letter.own.get(DltHeader.FAILED_AT, b"")):
        yield DltHeader.FAILED_AT
    if sum(name.startswith(_OWN) for name, _ in letter.headers) > len(letter.own):
        yield "a header twice"
