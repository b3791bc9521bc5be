"""What an operator, or an accident, can do to Kafka's topics and groups."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import OffsetAndMetadata

_TOPIC = 2
_GROUP = 3
_LITERAL = 3
_ALL = 2
_READ = 3
_WRITE = 4
_DESCRIBE = 8
_DENY = 2
_ALLOW = 3  # as Kafka's protocol numbers them
_EVERYBODY: Final = ("User:*", "*")


class KafkaAdmin:
    """Opens a new connection for each call, since brokers come and go."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers

    async def evict_members(self, group_id: str) -> None:
        """Remove the group's dead members at once. Otherwise the group waits 6 s for their sessions to expire."""
        async with self._admin() as admin:
            (answer,) = await admin.describe_consumer_groups([group_id])
            (group,) = answer.groups
            coordinator = await admin.find_coordinator(group_id)
            for member_id, *_ in group[5]:
                await admin._send_request_to_node(coordinator, LeaveGroupRequest(group_id, member_id))

    async def commit(self, group_id: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set the offsets of a group that has no members."""
        commit = {TopicPartition(*place): OffsetAndMetadata(offset, "") for place, offset in offsets.items()}
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers, group_id=group_id, enable_auto_commit=False
        )

        await consumer.start()
        try:
            consumer.assign(list(commit))
            await consumer.commit(commit)
        finally:
            await consumer.stop()

    async def delete_records(self, before: Mapping[tuple[str, int], int]) -> None:
        """Delete the records before these offsets, as retention does."""
        records = {TopicPartition(*place): RecordsToDelete(offset) for place, offset in before.items()}
        async with self._admin() as admin:
            await admin.delete_records(records)

    async def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        async with self._admin() as admin:
            await admin.delete_topics([name])

    async def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic."""
        async with self._admin() as admin:
            await admin.create_topics([NewTopic(name, partitions, 1)])

    async def set_max_message_bytes(self, size: int, topics: Iterable[str]) -> None:
        """Let topics accept messages up to this size."""
        settings = {"max.message.bytes": str(size), "message.timestamp.type": "LogAppendTime"}
        async with self._admin() as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, settings) for name in topics])

    async def forbid_writing(self, topic: str) -> None:
        """Deny everybody the right to write to a topic."""
        await self._deny(_TOPIC, topic, _WRITE)

    async def allow_writing(self, topic: str) -> None:
        """Remove that denial."""
        await self._end_denial(_TOPIC, topic, _WRITE)

    async def forbid_reading(self, topic: str) -> None:
        """Deny everybody the right to read a topic, and allow everything else."""
        await self._allow_all(_TOPIC, topic)
        await self._deny(_TOPIC, topic, _READ)

    async def allow_reading(self, topic: str) -> None:
        """Remove that denial."""
        await self._end_denial(_TOPIC, topic, _READ)

    async def forbid_group(self, group_id: str) -> None:
        """Deny everybody the right to be a member of a group, and allow everything else."""
        await self._allow_all(_GROUP, group_id)
        await self._deny(_GROUP, group_id, _READ)

    async def allow_group(self, group_id: str) -> None:
        """Remove that denial."""
        await self._end_denial(_GROUP, group_id, _READ)

    async def allow_only_describe(self, topic: str, group_id: str) -> None:
        """Let everybody describe a topic and a group, which removes all other rights to them."""
        async with self._admin() as admin:
            for kind, name in ((_TOPIC, topic), (_GROUP, group_id)):
                await admin._send_request(CreateAclsRequest(kind, name, _LITERAL, *_EVERYBODY, _DESCRIBE, _ALLOW))

    async def _allow_all(self, kind: int, name: str) -> None:
        """Allow what a topic or a group without any rule allows: with its first rule, all else is forbidden."""
        async with self._admin() as admin:
            await admin._send_request(CreateAclsRequest(kind, name, _LITERAL, *_EVERYBODY, _ALL, _ALLOW))

    async def _deny(self, kind: int, name: str, operation: int) -> None:
        async with self._admin() as admin:
            await admin._send_request(CreateAclsRequest(kind, name, _LITERAL, *_EVERYBODY, operation, _DENY))

    async def _end_denial(self, kind: int, name: str, operation: int) -> None:
        async with self._admin() as admin:
            await admin._send_request(DeleteAclsRequest(kind, name, _LITERAL, *_EVERYBODY, operation, _DENY))

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap_servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()
