"""Records of one sign-in, found by their key around a time. Values are not looked at: they may hold a code."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from consumers.ports import KafkaUnavailable
from schemas.status import TraceEvent
from utils.kafka.producers import KafkaAccess
from utils.kafka.topics import look_up_topics

MOST_RECORDS: Final = 200_000
_WITHIN_S: Final = 30.0
_BEFORE: Final = timedelta(minutes=15)
_FROM_RESULT: Final = ("ce_type", "ce_id")
_QUIET_MS: Final = 1_000


async def records_of(
    access: KafkaAccess, topics: Sequence[str], key: str, around: datetime, until: datetime
) -> list[TraceEvent]:
    """Return the records with this key from a quarter of an hour before ``around`` to ``until``.

    At most ``MOST_RECORDS`` are looked at. Raises ``KafkaUnavailable``.
    """
    try:
        async with asyncio.timeout(_WITHIN_S):
            there = await look_up_topics(access, topics)
            partitions = [TopicPartition(one, number) for one in there for number in range(there[one].partitions)]
            consumer = AIOKafkaConsumer(**access.options(), enable_auto_commit=False)
            try:
                await consumer.start()
                return await _search(consumer, partitions, key.encode(), around - _BEFORE, until)
            finally:
                await consumer.stop()
    except TimeoutError:
        raise KafkaUnavailable(f"no answer within {_WITHIN_S:g} s") from None
    except (KafkaError, OSError) as error:
        raise KafkaUnavailable(type(error).__name__) from None


async def _search(
    consumer: Any, partitions: Sequence[TopicPartition], key: bytes, since: datetime, until: datetime
) -> list[TraceEvent]:
    consumer.assign(partitions)
    starts = await consumer.offsets_for_times(dict.fromkeys(partitions, int(since.timestamp() * 1_000)))
    found: list[TraceEvent] = []
    open_ones = {one: start.offset for one, start in starts.items() if start is not None}
    if not open_ones:
        return found
    ends = await consumer.end_offsets(list(open_ones))
    consumer.assign(list(open_ones))
    for partition, offset in open_ones.items():
        consumer.seek(partition, offset)
    looked_at = 0
    while open_ones and looked_at < MOST_RECORDS:
        batch = await consumer.getmany(timeout_ms=_QUIET_MS)
        for partition, records in batch.items():
            looked_at += len(records)
            found += [_moment(record) for record in records if record.key == key]
            late = records[-1].timestamp > until.timestamp() * 1_000
            if late or records[-1].offset + 1 >= ends[partition]:
                open_ones.pop(partition, None)
                consumer.pause(partition)
        if not batch:
            break
    return found


def _moment(record: Any) -> TraceEvent:
    headers = {name: value.decode("ascii", "replace") for name, value in record.headers if name in _FROM_RESULT}
    details: dict[str, str | int] = {"partition": record.partition, "offset": record.offset}
    if "ce_id" in headers:
        details["event_id"] = headers["ce_id"]
    what = f"{headers.get('ce_type', 'record')} on {record.topic}"
    at = datetime.fromtimestamp(record.timestamp / 1_000, UTC)
    return TraceEvent(at=at, where="Kafka", what=what, details=details)
