"""Kafka's inbound side: the consumer group's member, behind the port ``RecordSource``."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.structs import OffsetAndMetadata

from consumers.ports import AssignmentListener, KafkaMisconfigured, KafkaUnavailable, Partition, PartitionLog, Record
from utils.kafka.access import KafkaAccess
from utils.kafka.clients import kafka_call, start_consumer, stop_consumer, temporary_consumer
from utils.kafka.needs import missing_topics
from utils.kafka.partition_logs import first_timestamp_s, read_logs, read_topic_ids
from utils.kafka.coordination import raise_coordination_error
from utils.kafka.polling import Poller
from utils.kafka.refusals import Refusals

_MAX_PARTITION_BYTES: Final = 1024 * 1024

SETTINGS: Final[Mapping[str, Any]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    # Exactly one assignor, so that partition n of both topics goes to one worker. Several,
    # or Sticky, are broken.
    "partition_assignment_strategy": (RangePartitionAssignor,),
    "isolation_level": "read_committed",
    "session_timeout_ms": 6_000,  # no broker allows less by default
    "heartbeat_interval_ms": 1_500,
    "rebalance_timeout_ms": 30_000,  # the default, the session timeout, is too short to drain
    "max_poll_interval_ms": 120_000,
    "request_timeout_ms": 40_000,  # above the rebalance timeout, which is how long a JoinGroup waits
    "fetch_max_bytes": 8 * 1024 * 1024,
    "max_partition_fetch_bytes": _MAX_PARTITION_BYTES,
}
"""What the worker relies on (BRIDGE, rule 12).

No deserializers: one that raises blocks its partition for ever.
"""

_HEARTBEATS_PER_SESSION: Final = 4
_CALL_TIMEOUT_S: Final = 10.0
_CHECK_TIMEOUT_S: Final = 5.0
_START_TIMEOUT_S: Final = 45.0  # joining waits up to 30 s for a rebalance; giving up sooner starts the next one
_POSITION_TIMEOUT_S: Final = 0.05
_SHORT_TIMEOUT_S: Final = 2.0  # of questions that any broker may answer, or nobody needs to


class KafkaSource:
    """Implements ``RecordSource``. Can be started again after a stop or a failed start.

    New partitions are found after ``metadata_max_age_ms`` and the rebalance that follows. The group is not joined
    before ``required_topics`` exist, too.
    """

    def __init__(
        self,
        access: KafkaAccess,
        group_id: str,
        topics: Sequence[str],
        *,
        required_topics: Sequence[str] = (),
        session_timeout_ms: int = SETTINGS["session_timeout_ms"],
        client_rack: str | None = None,
        metadata_max_age_ms: int = 30_000,
        refusals: Refusals | None = None,
    ) -> None:
        self._access = access
        self._group_id = group_id
        self._topics = tuple(topics)
        self._required_topics = (*topics, *required_topics)
        self.settings = {
            **SETTINGS,
            "session_timeout_ms": session_timeout_ms,
            "heartbeat_interval_ms": min(
                SETTINGS["heartbeat_interval_ms"], session_timeout_ms // _HEARTBEATS_PER_SESSION
            ),
            "client_rack": client_rack,
            "metadata_max_age_ms": metadata_max_age_ms,
        }
        self._started: Any = None
        self._refusals = refusals or Refusals()

    @property
    def refusal(self) -> str | None:
        """What Kafka refuses until an operator acts, and what to do."""
        return self._refusals.reason

    @property
    def _consumer(self) -> Any:
        """The started consumer. Raises ``KafkaUnavailable`` while there is none."""
        if self._started is None:
            raise KafkaUnavailable("not started")
        return self._started

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group. Raises ``KafkaUnavailable``, and can be called again after that."""
        with self._refusals.noted():
            await self._raise_if_topics_are_missing()
            await self._join(listener)

    async def _raise_if_topics_are_missing(self) -> None:
        if missing := await missing_topics(self._access, self._required_topics):
            raise KafkaMisconfigured(missing)

    async def _join(self, listener: AssignmentListener) -> None:
        consumer = AIOKafkaConsumer(
            **self._access.options(),
            **self.settings,
            group_id=self._group_id,
        )
        self._access.follow(consumer._client)
        consumer.subscribe(self._topics, listener=_Listener(listener))

        await start_consumer(consumer, _START_TIMEOUT_S)
        self._started = consumer

    async def poll(self, timeout_ms: int, max_records: int) -> Sequence[Record]:
        """Return records, or none after about ``timeout_ms``.

        Never cancelled. Raises ``KafkaUnavailable``.

        A batch that can't be decoded is one record, with ``unreadable`` set.
        """
        async with self._call(None):
            return await Poller(self._consumer, _MAX_PARTITION_BYTES).poll(timeout_ms, max_records)

    async def check_membership(self) -> None:
        """Raise what a join in the background failed with, so that it goes on. Raises ``KafkaUnavailable``."""
        async with self._call(None):
            raise_coordination_error(self._consumer)

    def pause(self, partitions: Collection[Partition]) -> None:
        """Stop reading these partitions until the next rebalance. Ignores those not assigned."""
        self._consumer.pause(*self._assigned(partitions))

    def resume(self, partitions: Collection[Partition]) -> None:
        """Read these partitions again. Ignores those not assigned."""
        self._consumer.resume(*self._assigned(partitions))

    async def seek_to_committed(self, partitions: Collection[Partition]) -> None:
        """Go back to the group's committed offset, or to the beginning if there is none.

        Ignores partitions not assigned. Does nothing if a rebalance comes meanwhile. Raises ``KafkaUnavailable``.
        """
        async with self._call(_CALL_TIMEOUT_S):
            assignment = self._assignment()
            targets = self._assigned(partitions)
            committed = await self._committed(targets)
            beginnings = await self._beginnings([each for each in targets if each not in committed])
            self._seek(assignment, beginnings | committed)

    async def seek_to_beginning(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Go to the beginning, and return its offsets.

        Ignores partitions not assigned. Does nothing if a rebalance comes meanwhile. Raises ``KafkaUnavailable``.
        """
        async with self._call(_CALL_TIMEOUT_S):
            assignment = self._assignment()
            offsets = await self._beginnings(self._assigned(partitions))
            return _by_partition(offsets) if self._seek(assignment, offsets) else {}

    async def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return the group's committed offsets, of the partitions that have one. Raises ``KafkaUnavailable``."""
        targets = [TopicPartition(*partition) for partition in partitions]
        async with self._call(_CALL_TIMEOUT_S):
            return _by_partition(await self._committed(targets))

    async def position(self, partition: Partition) -> int | None:
        """Return the offset after the last one that ``poll`` returned or skipped; None if unknown.

        Quick.
        """
        try:
            async with kafka_call(_POSITION_TIMEOUT_S):
                offset: int = await self._consumer.position(TopicPartition(*partition))
        except KafkaUnavailable:
            return None
        return offset

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit exactly these offsets, each the next record to read.

        Cancellable. Raises ``KafkaUnavailable``.
        """
        positions = {TopicPartition(*partition): OffsetAndMetadata(offset, "") for partition, offset in offsets.items()}
        async with self._call(_CALL_TIMEOUT_S):
            await self._consumer.commit(positions)

    async def logs(self, partitions: Collection[Partition]) -> Mapping[Partition, PartitionLog]:
        """Return the logs of the partitions whose leaders answer, of paused partitions too.

        Needs a task of its own. Raises ``KafkaUnavailable`` if none answers.
        """
        targets = [TopicPartition(*partition) for partition in partitions]
        async with self._call(_CALL_TIMEOUT_S):
            logs = await read_logs(self._consumer._client, targets)

        return {Partition(*partition): log for partition, log in logs.items()}

    async def topic_ids(self) -> Mapping[str, bytes]:
        """Return the ids of the topics; of none before Kafka 2.8. Reading waits for it. Raises ``KafkaUnavailable``."""
        async with self._call(_SHORT_TIMEOUT_S):
            return await read_topic_ids(self._consumer._client, self._topics)

    async def first_timestamp_s(self, partition: Partition, offset: int) -> float | None:
        """Return the time of the first record from ``offset`` on, readable or not; None if there is none.

        Needs a task of its own. Raises ``KafkaUnavailable``.
        """
        async with kafka_call(_SHORT_TIMEOUT_S):
            return await first_timestamp_s(self._consumer._client, TopicPartition(*partition), offset)

    async def is_reachable(self, partitions: Collection[Partition]) -> bool:
        """Tell whether Kafka serves the group and these partitions; without any, the first of each topic.

        It asks the leaders and the coordinator with a client that joins nothing, because
        the consumer's own client may be what is stuck. While Kafka refuses what the
        consumer needs, it does not serve it.
        """
        if self.refusal is not None:
            return False

        partitions = partitions or [Partition(topic, 0) for topic in self._topics]
        targets = [TopicPartition(*partition) for partition in partitions]

        try:
            async with (
                temporary_consumer(self._access, self._group_id) as consumer,
                kafka_call(_CHECK_TIMEOUT_S),
            ):
                await consumer.start()
                await consumer.end_offsets(targets)
                consumer.assign(targets)
                await consumer.committed(targets[0])
        except KafkaUnavailable:
            return False
        return True

    async def stop(self) -> None:
        """Leave the group. Commits nothing, calls no listener."""
        consumer = self._started
        self._started = None
        if consumer is not None:
            await stop_consumer(consumer)

    @asynccontextmanager
    async def _call(self, timeout_s: float | None) -> AsyncIterator[None]:
        with self._refusals.noted():
            async with kafka_call(timeout_s):
                yield

    def _assignment(self) -> Any:
        """Return the assignment: after a rebalance it is another object."""
        return self._consumer._subscription.subscription.assignment

    def _seek(self, assignment: Any, offsets: Mapping[TopicPartition, int]) -> bool:
        """Move positions, unless a rebalance has come: it sets them itself. Return whether it has not."""
        if assignment is None or not assignment.active or self._assignment() is not assignment:
            return False

        for partition, offset in offsets.items():
            self._consumer.seek(partition, offset)

        return True

    async def _committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        found = await self._consumer._coordinator.fetch_committed_offsets(partitions)
        return {partition: committed.offset for partition, committed in found.items() if committed.offset >= 0}

    async def _beginnings(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        beginnings: dict[TopicPartition, int] = await self._consumer.beginning_offsets(partitions)
        return beginnings

    def _assigned(self, partitions: Collection[Partition]) -> list[TopicPartition]:
        assignment = self._consumer.assignment()
        targets = [TopicPartition(*partition) for partition in partitions]
        return [target for target in targets if target in assignment]


def _by_partition(offsets: Mapping[TopicPartition, int]) -> dict[Partition, int]:
    return {Partition(*partition): offset for partition, offset in offsets.items()}


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Passes rebalances on to the consumer loop. aiokafka swallows what a callback raises, so neither may."""

    def __init__(self, listener: AssignmentListener) -> None:
        self._listener = listener

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Report that all partitions are being taken away."""
        await self._listener.on_revoked([Partition(*partition) for partition in revoked])

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Report the partitions owned from now on."""
        await self._listener.on_assigned([Partition(*partition) for partition in assigned])
