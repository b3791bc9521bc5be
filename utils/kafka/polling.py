"""Poll a consumer of aiokafka so that no partition suffers from another one."""

import asyncio
import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException, KafkaError, UnsupportedCodecError

from consumers.ports import KafkaUnavailable, Record, Unreadable
from utils.kafka.batches import Fetched, ReadLimits, UnreadableBatch, fetch
from utils.kafka.codecs import MAX_POLL_BYTES
from utils.kafka.coordination import raise_coordination_error

logger = logging.getLogger(__name__)

_LOG_APPEND_TIME: Final = 1
_FETCH_TIMEOUT_S: Final = 5.0

Positions = Mapping[TopicPartition, int]


class Poller:
    """Polls the partitions that are not paused: aiokafka throws away what it has prefetched of paused ones.

    If ``getmany`` raises, it has already moved the positions of partitions whose records it then throws away. So all
    positions are put back, and partitions are read one by one: a batch that can't be decoded stands as one record that
    says so, and the position moves on behind it.
    """

    def __init__(self, consumer: Any, max_partition_bytes: int) -> None:
        self._consumer = consumer
        self._max_partition_bytes = max_partition_bytes

    async def poll(self, timeout_ms: int, max_records: int) -> Sequence[Record]:
        """Return records, or none after about ``timeout_ms``.

        Raises errors of aiokafka, and ``KafkaUnavailable`` if a rebalance came while a poll failed: positions of the
        new assignment may have moved then, and the caller must read it from the committed offsets.
        """
        assignment = self._assignment()
        before = self._positions()
        self._raise_coordination_error()
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
            logger.warning("a poll failed: reading partition by partition", extra={"error": type(error).__name__})

            with self._counted_as_polling():
                records = await self._read_one_by_one(assignment, before, max_records)
            if records is None:
                raise
            return records

        return [as_record(record) for batch in batches.values() for record in batch]

    async def _read_one_by_one(
        self, assignment: Any, positions: Positions, max_records: int
    ) -> Sequence[Record] | None:
        """Read each partition apart; return None if there was nothing to read, so no batch can have been the cause.

        A partition whose leader does not answer is left out, unless nothing else was read.
        """
        records: list[Record] = []
        read_up_to: dict[TopicPartition, int] = {}
        failure: Exception | None = None

        for partition in random.sample(list(positions), len(positions)):
            limits = ReadLimits(max_records - len(records), MAX_POLL_BYTES)
            if limits.records <= 0:
                break

            try:
                found = await self._fetch(partition, positions[partition], limits)
            except (KafkaError, TimeoutError) as error:
                failure = error
                continue

            taken = _records_of(partition, found)[: limits.records]
            records += taken
            read_up_to[partition] = taken[-1].last_offset + 1 if taken else found.next_offset

        if failure is not None and not records:
            raise failure

        self._seek(assignment, read_up_to)
        moved = any(offset != positions[partition] for partition, offset in read_up_to.items())

        return records if moved else None

    async def _fetch(self, partition: TopicPartition, position: int, limits: ReadLimits) -> Fetched:
        async with asyncio.timeout(_FETCH_TIMEOUT_S):
            return await fetch(self._consumer._client, partition, position, self._max_partition_bytes, limits)

    def _raise_coordination_error(self) -> None:
        try:
            raise_coordination_error(self._consumer)
        except Exception:
            self._count_poll_as_ended()
            raise

    def _assignment(self) -> Any:
        return self._consumer._subscription.subscription.assignment

    def _positions(self) -> Positions:
        """Return the positions of what can be read. One that is not known yet could not be put back."""
        partitions = self._consumer.assignment() - self._consumer.paused()
        states = {partition: self._assignment().state_value(partition) for partition in partitions}

        return {partition: state.position for partition, state in states.items() if state.has_valid_position}

    def _seek(self, assignment: Any, positions: Positions) -> None:
        """Move positions. Raises ``KafkaUnavailable`` if a rebalance has come meanwhile."""
        if self._assignment() is not assignment or not assignment.active:
            raise KafkaUnavailable("a rebalance came during a poll that failed")

        for partition, position in positions.items():
            self._consumer.seek(partition, position)

    async def _stay_alive(self, seconds: float) -> None:
        """Wait. aiokafka counts it as polling, as it should: otherwise the group would lose this member."""
        with self._counted_as_polling():
            await asyncio.sleep(seconds)

    @contextmanager
    def _counted_as_polling(self) -> Iterator[None]:
        try:
            with self._consumer._subscription.fetch_context():
                yield
        finally:
            self._count_poll_as_ended()

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


def _records_of(partition: TopicPartition, fetched: Fetched) -> list[Record]:
    records = [as_record(record) for record in fetched.records]
    if fetched.unreadable is not None:
        records.append(_unreadable_record(partition, fetched.unreadable))

    return records


def _unreadable_record(partition: TopicPartition, batch: UnreadableBatch) -> Record:
    record = Record(
        topic=partition.topic,
        partition=partition.partition,
        offset=batch.first_offset,
        key=None,
        value=None,
        timestamp_ms=batch.timestamp_ms,
        unreadable=Unreadable(batch.last_offset, batch.error),
    )
    logger.error(
        "a batch can't be decoded and is skipped",
        extra={**record.log_fields, "last_offset": batch.last_offset, "error": batch.error},
    )

    return record
