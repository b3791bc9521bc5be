"""Poll a consumer of aiokafka so that no partition suffers from another one."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException, KafkaError, UnsupportedCodecError

from consumers.ports import Record, Unreadable
from utils.kafka.batches import Fetched, UnreadableBatch, fetch

logger = logging.getLogger(__name__)

_LOG_APPEND_TIME: Final = 1

Positions = Mapping[TopicPartition, int]


class Poller:
    """Polls the partitions that are not paused: aiokafka throws away what it has prefetched of paused ones.

    If ``getmany`` raises, it has already moved the positions of partitions whose records it then throws away. So all
    positions are put back, and partitions are read one by one: records before a batch that can't be decoded are
    returned, the batch itself stands as one record that says so, and the position moves on behind it.
    """

    def __init__(self, consumer: Any, max_partition_bytes: int) -> None:
        self._consumer = consumer
        self._max_partition_bytes = max_partition_bytes

    async def poll(self, timeout_ms: int, max_records: int) -> Sequence[Record]:
        """Return records, or none after about ``timeout_ms``. Raises errors of aiokafka."""
        assignment = self._assignment()
        before = self._positions()
        if not before:
            await self._stay_alive(timeout_ms / 1_000)
            return []

        try:
            batches = await self._consumer.getmany(*before, timeout_ms=timeout_ms, max_records=max_records)
        except ConsumerStoppedError:
            raise
        except Exception as error:
            self._count_poll_as_ended()
            self._seek(assignment, before)
            if not _concerns_a_batch(error):
                raise
            records = await self._read_one_by_one(assignment, before, max_records)
            if records is None:
                raise
            return records

        return [as_record(record) for batch in batches.values() for record in batch]

    async def _read_one_by_one(
        self, assignment: Any, positions: Positions, max_records: int
    ) -> Sequence[Record] | None:
        """Return what stands before the batches that can't be decoded, and these; None if there is no such batch.

        Other partitions are left alone.
        """
        client = self._consumer._client
        fetched = {
            partition: await fetch(client, partition, position, self._max_partition_bytes)
            for partition, position in positions.items()
        }

        records: list[Record] = []
        read_up_to: dict[TopicPartition, int] = {}
        for partition, found in fetched.items():
            if found.unreadable is None:
                continue
            taken = _records_of(partition, found, positions[partition])[: max_records - len(records)]
            if taken:
                records += taken
                read_up_to[partition] = taken[-1].last_offset + 1

        if not records:
            return None

        return records if self._seek(assignment, read_up_to) else []

    def _assignment(self) -> Any:
        return self._consumer._subscription.subscription.assignment

    def _positions(self) -> Positions:
        """Return the positions of what can be read. One that is not known yet could not be put back."""
        partitions = self._consumer.assignment() - self._consumer.paused()
        states = {partition: self._assignment().state_value(partition) for partition in partitions}

        return {partition: state.position for partition, state in states.items() if state.has_valid_position}

    def _seek(self, assignment: Any, positions: Positions) -> bool:
        """Move positions, unless a rebalance has come meanwhile: it sets them itself. Return whether it did not."""
        if self._assignment() is not assignment or not assignment.active:
            return False

        for partition, position in positions.items():
            self._consumer.seek(partition, position)

        return True

    async def _stay_alive(self, seconds: float) -> None:
        """Wait. aiokafka counts it as polling, as it should: otherwise the group would lose this member."""
        with self._consumer._subscription.fetch_context():
            await asyncio.sleep(seconds)

    def _count_poll_as_ended(self) -> None:
        """Do what ``getmany`` leaves undone when it raises: it would never again notice that polling has stopped."""
        subscription = self._consumer._subscription
        subscription._fetch_count = 0  # there is one poll at a time
        subscription._last_fetch_ended = time.monotonic()


def as_record(record: ConsumerRecord[Any, Any]) -> Record:
    """Convert a record of aiokafka."""
    return Record(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
        timestamp_ms=record.timestamp,
        log_append_time=record.timestamp_type == _LOG_APPEND_TIME,
    )


def _concerns_a_batch(error: Exception) -> bool:
    """Tell whether decoding raised it. Decoders raise all sorts of errors; the client's own are ``KafkaError``."""
    return not isinstance(error, KafkaError | OSError) or isinstance(
        error, CorruptRecordException | UnsupportedCodecError
    )


def _records_of(partition: TopicPartition, fetched: Fetched, position: int) -> list[Record]:
    records = [as_record(record) for record in fetched.records]
    if fetched.unreadable is not None:
        records.append(_unreadable_record(partition, fetched.unreadable, position))

    return records


def _unreadable_record(partition: TopicPartition, batch: UnreadableBatch, position: int) -> Record:
    first = max(batch.header.first_offset, position)
    last = batch.header.last_offset
    where = {"topic": partition.topic, "partition": partition.partition, "offset": first, "last_offset": last}
    logger.error("a batch can't be decoded and is skipped", extra={**where, "error": batch.error})

    return Record(
        topic=partition.topic,
        partition=partition.partition,
        offset=first,
        key=None,
        value=None,
        timestamp_ms=batch.header.timestamp_ms,
        unreadable=Unreadable(last, batch.error),
    )
