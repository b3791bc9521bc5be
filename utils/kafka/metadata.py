"""What the brokers report about topics and groups, and about our rights on them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
    for_code,
)

from consumers.ports import KafkaUnavailable
from utils.kafka.access import KafkaAccess
from utils.kafka.clients import kafka_admin
from utils.kafka.protocol import GroupRequest, TopicsRequest

DESCRIBE: Final = "Describe"
READ: Final = "Read"
WRITE: Final = "Write"
DESCRIBE_CONFIGS: Final = "DescribeConfigs"

_RETRY_S: Final = 0.2
# The bits that stand for operations (org.apache.kafka.common.acl.AclOperation).
_OPERATION_BITS: Final = {READ: 3, WRITE: 4, DESCRIBE: 8, DESCRIBE_CONFIGS: 10}
_RIGHTS_NOT_REPORTED: Final = -(2**31)
# The first group ever makes the brokers create the topic of offsets, and its leader needs a
# moment to load it.
_NOT_READY_YET: Final = (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)


@dataclass(frozen=True)
class TopicDescription:
    """One topic. ``replicas`` and ``in_sync`` are those of the partition that has the fewest."""

    partitions: int = 0
    leaderless: int = 0
    replicas: int = 0
    in_sync: int = 0
    rights: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GroupDescription:
    """One consumer group. ``assignor`` is empty while the group has no members."""

    state: str = ""
    assignor: str = ""
    members: int = 0
    rights: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ClusterDescription:
    """The topics and groups that were asked for. A missing topic is None."""

    brokers: int
    topics: Mapping[str, TopicDescription | None]
    groups: Mapping[str, GroupDescription]


async def describe_cluster(access: KafkaAccess, topics: Sequence[str], groups: Sequence[str]) -> ClusterDescription:
    """Ask about topics and groups. Creates nothing. Raises ``KafkaUnavailable``."""
    async with kafka_admin(access) as admin:
        try:
            answer = await admin._send_request(TopicsRequest(topics))

            return ClusterDescription(
                brokers=len(answer.brokers),
                topics={topic[1]: _topic(*topic) for topic in answer.topics},
                groups={group_id: await _describe_group(admin, group_id) for group_id in groups},
            )
        except NotImplementedError:  # how aiokafka reports that the brokers lack a version of a request
            raise KafkaUnavailable("brokers older than Kafka 2.3") from None


def _topic(
    code: int,
    _name: str,
    _is_internal: bool,
    partitions: Sequence[Sequence[Any]],
    operations: int,
) -> TopicDescription | None:
    """Read the answer about one topic. An empty description means that we may not even see it."""
    error = for_code(code)
    if error is TopicAuthorizationFailedError:
        return TopicDescription()
    if not partitions:
        return None

    return TopicDescription(
        partitions=len(partitions),
        leaderless=sum(leader < 0 for _, _, leader, *_ in partitions),
        replicas=min(len(replicas) for *_, replicas, _, _ in partitions),
        in_sync=min(len(in_sync) for *_, in_sync, _ in partitions),
        rights=_rights(operations),
    )


async def _describe_group(admin: Any, group_id: str) -> GroupDescription:
    """Ask about one group. An empty description means that we may not even see it."""
    while True:
        try:
            return await _ask_coordinator(admin, group_id)
        except GroupAuthorizationFailedError:
            return GroupDescription()
        except _NOT_READY_YET:
            await asyncio.sleep(_RETRY_S)


async def _ask_coordinator(admin: Any, group_id: str) -> GroupDescription:
    coordinator = await admin.find_coordinator(group_id)
    answer = await admin._send_request(GroupRequest(group_id), coordinator)

    code, _, state, _, assignor, members, operations = answer.groups[0]
    if code:
        raise for_code(code)

    return GroupDescription(state, assignor, len(members), _rights(operations))


def _rights(operations: int) -> frozenset[str]:
    """Read the bits. A broker without an authorizer sets all of them."""
    if operations == _RIGHTS_NOT_REPORTED:
        return frozenset(_OPERATION_BITS)

    return frozenset(name for name, bit in _OPERATION_BITS.items() if operations & (1 << bit))
