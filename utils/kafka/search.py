"""The records of one sign-in, found by key and time.

Values are never read: they may hold a code.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition

from consumers.ports import record_time
from schemas.status import TraceEvent
from utils.kafka.access import KafkaAccess
from utils.kafka.clients import kafka_call, temporary_consumer
from utils.kafka.topics import look_up_topics

_MAX_RECORDS: Final = 200_000
_TIMEOUT_S: Final = 30.0
_POLL_MS: Final = 1_000
_MARGIN: Final = timedelta(minutes=15)
_SHOWN_HEADERS: Final = ("ce_type", "ce_id")


class Search(NamedTuple):
    """The records found. ``unseen``: the topics that do not exist, or that there is no right to see."""

    records: Sequence[TraceEvent]
    unseen: tuple[str, ...]


async def find_records(
    access: KafkaAccess, topics: Sequence[str], key: str, around: datetime, until: datetime
) -> Search:
    """Return the records with this key from 15 minutes before ``around`` to ``until``.

    Reads at most ``_MAX_RECORDS`` records. Raises ``KafkaUnavailable``.
    """
    async with kafka_call(_TIMEOUT_S):
        existing = await look_up_topics(access, topics)
        partitions = [
            TopicPartition(topic, number) for topic, state in existing.items() for number in range(state.partitions)
        ]

        async with temporary_consumer(access) as consumer:
            await consumer.start()
            ends = await _seek(consumer, partitions, around - _MARGIN)
            records = await _read(consumer, ends, key.encode(), until)

    return Search(records, tuple(topic for topic in topics if topic not in existing))


async def _seek(consumer: Any, partitions: Sequence[TopicPartition], since: datetime) -> dict[TopicPartition, int]:
    """Go to the first record since then on each partition; return the ends of the partitions that have one."""
    consumer.assign(partitions)
    starts = await consumer.offsets_for_times(dict.fromkeys(partitions, _milliseconds(since)))
    offsets = {partition: start.offset for partition, start in starts.items() if start is not None}
    if not offsets:
        return {}

    ends: dict[TopicPartition, int] = await consumer.end_offsets(list(offsets))
    consumer.assign(list(offsets))
    for partition, offset in offsets.items():
        consumer.seek(partition, offset)

    return ends


async def _read(consumer: Any, ends: dict[TopicPartition, int], key: bytes, until: datetime) -> list[TraceEvent]:
    """Read each partition to its end, or to the first batch that ends after ``until``."""
    found: list[TraceEvent] = []
    unread = set(ends)
    records_read = 0

    while unread and records_read < _MAX_RECORDS:
        batches = await consumer.getmany(timeout_ms=_POLL_MS)
        if not batches:
            break

        for partition, records in batches.items():
            records_read += len(records)
            found += [_trace_event(record, until) for record in records if record.key == key]

            last = records[-1]
            written_at = record_time(last.timestamp)
            is_later = written_at is not None and written_at > until
            if is_later or last.offset + 1 >= ends[partition]:
                unread.discard(partition)
                consumer.pause(partition)

    return found


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1_000)


def _trace_event(record: Any, until: datetime) -> TraceEvent:
    """Return the record as a step. One whose timestamp is no time stands at ``until``."""
    headers = {
        name: (value or b"").decode("ascii", "replace") for name, value in record.headers if name in _SHOWN_HEADERS
    }
    details: dict[str, str | int] = {"partition": record.partition, "offset": record.offset}
    if "ce_id" in headers:
        details["event_id"] = headers["ce_id"]

    at = record_time(record.timestamp)
    if at is None:
        details["timestamp_ms"] = record.timestamp

    kind = headers.get("ce_type") or "record"
    return TraceEvent(at=at or until, where="Kafka", what=f"{kind} on {record.topic}", details=details)
