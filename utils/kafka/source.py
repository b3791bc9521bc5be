"""Kafka, incoming: the group's consumer behind the port ``RecordSource``."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from consumers.ports import AssignmentListener, KafkaUnavailable, Partition, Record
from utils.kafka.producers import KafkaAccess, ended

logger = logging.getLogger(__name__)

SETTINGS: Final[Mapping[str, Any]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    # Exactly one, so that partition n of both topics lands on one worker; several, or Sticky, are broken.
    "partition_assignment_strategy": (RangePartitionAssignor,),
    "isolation_level": "read_committed",
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 3_000,
    "rebalance_timeout_ms": 30_000,  # the default is the session's: too short to drain in
    "max_poll_interval_ms": 120_000,
    "request_timeout_ms": 40_000,  # above the rebalance's: a JoinGroup waits that long
    "fetch_max_bytes": 8 * 1024 * 1024,
    "max_partition_fetch_bytes": 1024 * 1024,
}
"""What the worker relies on (BRIDGE, rule 12). No deserializers: one that raises blocks its partition for ever."""

_LOG_APPEND_TIME = 1
_CALL_TIMEOUT_S = 10.0
_CHECK_TIMEOUT_S = 5.0
_START_TIMEOUT_S = 45.0  # joining waits for a rebalance, up to 30 s: who gives up sooner begins the next one
_STOP_TIMEOUT_S = 5.0
_POSITION_TIMEOUT_S = 0.05


class KafkaSource:
    """Fulfils ``RecordSource``. May be started again after it was stopped, or could not be started.

    New partitions are found after ``metadata_max_age_ms`` and the rebalance that follows.
    """

    def __init__(
        self, access: KafkaAccess, group_id: str, topics: Sequence[str], *, metadata_max_age_ms: int = 30_000
    ) -> None:
        self._access = access
        self._group_id = group_id
        self._topics = tuple(topics)
        self._metadata_max_age_ms = metadata_max_age_ms
        self._started: Any = None

    @property
    def _consumer(self) -> Any:
        """The consumer that was started. Raises ``KafkaUnavailable`` while there is none."""
        if self._started is None:
            raise KafkaUnavailable("not started")
        return self._started

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group. Raises ``KafkaUnavailable``, and may be called again after that."""
        consumer = AIOKafkaConsumer(
            **self._access.options(),
            **SETTINGS,
            group_id=self._group_id,
            metadata_max_age_ms=self._metadata_max_age_ms,
        )
        consumer.subscribe(self._topics, listener=_Listener(listener))
        try:
            async with translated(_START_TIMEOUT_S):
                await consumer.start()
        except BaseException:
            await stop_consumer(consumer)
            raise
        self._started = consumer

    async def poll(self, timeout_ms: int, max_records: int) -> Sequence[Record]:
        """Return records, or none after about ``timeout_ms``. Never cancelled. Raises ``KafkaUnavailable``."""
        async with translated(None):
            batches = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
        return [as_record(record) for batch in batches.values() for record in batch]

    def pause(self, partitions: Collection[Partition]) -> None:
        """Stop reading these; those not assigned are passed over. Forgotten by a rebalance."""
        self._consumer.pause(*self._assigned(partitions))

    def resume(self, partitions: Collection[Partition]) -> None:
        """Read these again; those not assigned are passed over."""
        self._consumer.resume(*self._assigned(partitions))

    async def rewind(self, partitions: Collection[Partition]) -> None:
        """Read next from the group's committed offset, or from the beginning if there is none.

        Partitions not assigned are passed over. Raises ``KafkaUnavailable``.
        """
        async with translated(_CALL_TIMEOUT_S):
            for partition in self._assigned(partitions):
                committed = await self._consumer.committed(partition)
                if committed is None:
                    committed = (await self._consumer.beginning_offsets([partition]))[partition]
                if self._assigned([Partition(*partition)]):  # a rebalance may have come while we asked
                    self._consumer.seek(partition, committed)

    async def position(self, partition: Partition) -> int | None:
        """Return the offset after the last one that ``poll`` handed out or skipped; None if not known. Quick."""
        try:
            async with translated(_POSITION_TIMEOUT_S):
                offset: int = await self._consumer.position(TopicPartition(*partition))
        except KafkaUnavailable:
            return None
        return offset

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit exactly these: the offset of the next record to read. Cancellable. Raises ``KafkaUnavailable``."""
        async with translated(_CALL_TIMEOUT_S):
            await self._consumer.commit(
                {TopicPartition(*partition): OffsetAndMetadata(offset, "") for partition, offset in offsets.items()}
            )

    async def end_offsets(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return the ends of these, of paused ones too, called from a task of its own. Raises ``KafkaUnavailable``."""
        async with translated(_CALL_TIMEOUT_S):
            ends = await self._consumer.end_offsets([TopicPartition(*partition) for partition in partitions])
        return {Partition(*partition): offset for partition, offset in ends.items()}

    async def is_reachable(self, partitions: Collection[Partition]) -> bool:
        """Ask with a client of its own whether Kafka serves this group and these partitions (none: the topics).

        The consumer's own client may be what is stuck. This one joins nothing: it asks the leaders and the coordinator.
        """
        asked = [TopicPartition(*each) for each in partitions] or [TopicPartition(topic, 0) for topic in self._topics]
        client = AIOKafkaConsumer(**self._access.options(), group_id=self._group_id, enable_auto_commit=False)
        try:
            async with translated(_CHECK_TIMEOUT_S):
                await client.start()
                await client.end_offsets(asked)
                client.assign(asked)
                await client.committed(asked[0])
        except KafkaUnavailable:
            return False
        finally:
            await stop_consumer(client)
        return True

    async def stop(self) -> None:
        """Leave the group. Commits nothing, calls no listener."""
        consumer, self._started = self._started, None
        if consumer is not None:
            await stop_consumer(consumer)

    def _assigned(self, partitions: Collection[Partition]) -> list[TopicPartition]:
        assignment = self._consumer.assignment()
        return [wanted for partition in partitions if (wanted := TopicPartition(*partition)) in assignment]


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Tells the consumer loop. aiokafka swallows what a callback raises, so it is logged here."""

    def __init__(self, listener: AssignmentListener) -> None:
        self._listener = listener

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Tell that all partitions are being taken away."""
        await self._listener.on_revoked([Partition(*partition) for partition in revoked])

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Tell what is owned from now on."""
        await self._listener.on_assigned([Partition(*partition) for partition in assigned])


@asynccontextmanager
async def translated(timeout_s: float | None) -> AsyncIterator[None]:
    """Raise whatever aiokafka raises in the block, and its slowness, as ``KafkaUnavailable``."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError:
        raise KafkaUnavailable(f"no answer within {timeout_s} s") from None
    except (KafkaError, ConsumerStoppedError, OSError) as error:
        logger.debug("Kafka refused a call", extra={"error": type(error).__name__})
        raise KafkaUnavailable(type(error).__name__) from None


async def stop_consumer(consumer: Any) -> None:
    """Stop, but wait no longer than a few seconds for brokers that are away, and close the connections anyway."""
    if not await ended(asyncio.ensure_future(consumer.stop()), _STOP_TIMEOUT_S):
        logger.warning("the consumer did not leave its group")
        await ended(asyncio.ensure_future(consumer._client.close()), _STOP_TIMEOUT_S)


def as_record(record: ConsumerRecord[Any, Any]) -> Record:
    """Return aiokafka's record as ours."""
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
