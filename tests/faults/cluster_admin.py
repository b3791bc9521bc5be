"""What an operator of a Kafka cluster does to its topics: moves leaders, adds partitions, sets a codec, starts over."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest

from tests.faults.kafka_admin import KafkaAdmin

_TIMEOUT_MS: Final = 30_000
_NO_TAGS: Final[dict[int, bytes]] = {}


class ClusterAdmin(KafkaAdmin):
    """Opens a new connection for each call, since brokers come and go."""

    async def leaders(self, topics: Sequence[str]) -> Mapping[tuple[str, int], int]:
        """Return the node that leads each partition."""
        return {place: partition["leader"] for place, partition in (await self._partitions(topics)).items()}

    async def move_leaders(self, topics: Sequence[str]) -> None:
        """Take each partition away from the node that leads it, so that another one has to lead it."""
        partitions = await self._partitions(topics)
        without_leader = {
            place: [node for node in partition["replicas"] if node != partition["leader"]]
            for place, partition in partitions.items()
        }
        await self._reassign(without_leader)

    async def replicate(self, topics: Sequence[str], nodes: Sequence[int]) -> None:
        """Give each partition a replica on all of these nodes. Its leader stays."""
        partitions = await self._partitions(topics)
        await self._reassign(
            {
                place: [partition["leader"], *(node for node in nodes if node != partition["leader"])]
                for place, partition in partitions.items()
            }
        )

    async def place(self, topic: str, nodes: Sequence[int]) -> None:
        """Keep a topic on these nodes only. The first one should lead."""
        await self._reassign({place: nodes for place in await self._partitions([topic])})

    async def allow_unclean_elections(self, topic: str) -> None:
        """Let one replica be enough to write, and let any replica lead, also one that has missed records."""
        settings = {
            "min.insync.replicas": "1",
            "unclean.leader.election.enable": "true",
            "message.timestamp.type": "LogAppendTime",
        }
        async with self._admin() as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])

    async def add_partitions(self, topics: Sequence[str], total: int) -> None:
        """Let each topic have ``total`` partitions."""
        async with self._admin() as admin:
            await admin.create_partitions({name: NewPartitions(total) for name in topics})

    async def set_codec(self, topic: str, codec: str) -> None:
        """Let brokers compress all records of a topic with a codec, whatever its producers send."""
        settings = {"compression.type": codec, "message.timestamp.type": "LogAppendTime"}
        async with self._admin() as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])

    async def create_inbound_topic(self, name: str, partitions: int) -> None:
        """Create a topic with three replicas and the broker's timestamps."""
        settings = {"message.timestamp.type": "LogAppendTime"}
        async with self._admin() as admin:
            await admin.create_topics([NewTopic(name, partitions, 3, topic_configs=settings)])

    async def exists(self, name: str) -> bool:
        """Tell whether a topic exists."""
        async with self._admin() as admin:
            return name in await admin.list_topics()

    async def _partitions(self, topics: Sequence[str]) -> dict[tuple[str, int], Any]:
        # All topics are listed: a request for a topic by name may be answered by a broker that does not know it yet.
        async with self._admin() as admin:
            known = [topic for topic in await admin.describe_topics() if topic["topic"] in topics]
        return {(topic["topic"], one["partition"]): one for topic in known for one in topic["partitions"]}

    async def _reassign(self, replicas: Mapping[tuple[str, int], Sequence[int]]) -> None:
        topics = [(name, [(partition, nodes, _NO_TAGS)], _NO_TAGS) for (name, partition), nodes in replicas.items()]
        async with self._admin() as admin:
            answer = await admin._send_request(AlterPartitionReassignmentsRequest(_TIMEOUT_MS, topics, _NO_TAGS))

        assert not answer.error_code, answer
