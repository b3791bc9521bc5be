"""What a broker tells of topics and of groups, and of what it lets us do with them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.coordination import FindCoordinatorRequest

from consumers.ports import KafkaUnavailable
from utils.kafka.producers import KafkaAccess
from utils.kafka.protocol import GroupsRequest, TopicsRequest

DESCRIBE: Final = "Describe"
READ: Final = "Read"
WRITE: Final = "Write"
DESCRIBE_CONFIGS: Final = "DescribeConfigs"

_TIMEOUT_S: Final = 30.0
_ASK_AGAIN_S: Final = 0.2
# The bits by which Kafka numbers what one may do (org.apache.kafka.common.acl.AclOperation).
_OPERATIONS: Final = {READ: 3, WRITE: 4, DESCRIBE: 8, DESCRIBE_CONFIGS: 10}
_NOT_TOLD: Final = -(2**31)


@dataclass(frozen=True)
class TopicFacts:
    """A topic as a broker tells it. ``replicas``, ``in_sync``: those of the partition that has the fewest."""

    partitions: int = 0
    leaderless: int = 0
    replicas: int = 0
    in_sync: int = 0
    rights: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GroupFacts:
    """A consumer group as its coordinator tells it. ``assignor`` is empty while nobody is in it."""

    state: str = ""
    assignor: str = ""
    members: int = 0
    rights: frozenset[str] = frozenset()


@dataclass(frozen=True)
class KafkaFacts:
    """What was asked for. A topic that is not there is None."""

    brokers: int
    topics: Mapping[str, TopicFacts | None]
    groups: Mapping[str, GroupFacts]


async def look(access: KafkaAccess, topics: Sequence[str], groups: Sequence[str]) -> KafkaFacts:
    """Ask about topics and groups; nothing is created. Raises ``KafkaUnavailable``."""
    async with _client(access) as client:
        answer = await client.send(client.get_random_node(), TopicsRequest(topics))
        told = {name: _topic(code, partitions, rights) for code, name, _, partitions, rights in answer.topics}
        return KafkaFacts(len(answer.brokers), told, {group: await _group(client, group) for group in groups})


@asynccontextmanager
async def _client(access: KafkaAccess) -> AsyncIterator[Any]:
    """Yield a client that is connected. Whatever goes wrong in the block is ``KafkaUnavailable``."""
    client = AIOKafkaClient(**access.options())
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await client.bootstrap()
            yield client
    except TimeoutError:
        raise KafkaUnavailable(f"no answer within {_TIMEOUT_S:g} s") from None
    except NotImplementedError:  # aiokafka's word for a version that the broker does not have
        raise KafkaUnavailable("brokers older than Kafka 2.3") from None
    except (KafkaError, OSError) as error:
        raise KafkaUnavailable(type(error).__name__) from None
    finally:
        await client.close()


def _topic(code: int, partitions: Sequence[Sequence[Any]], operations: int) -> TopicFacts | None:
    """Read one topic. Raises what the broker answered, unless it is that there is none, or none for us."""
    error = for_code(code)
    if error is TopicAuthorizationFailedError:
        return TopicFacts()
    if not partitions:
        return None
    return TopicFacts(
        partitions=len(partitions),
        leaderless=sum(leader < 0 for _, _, leader, *_ in partitions),
        replicas=min(len(replicas) for *_, replicas, _, _ in partitions),
        in_sync=min(len(in_sync) for *_, in_sync, _ in partitions),
        rights=_rights(operations),
    )


async def _group(client: Any, group_id: str) -> GroupFacts:
    found = await client.send(client.get_random_node(), FindCoordinatorRequest(group_id, 0))
    while for_code(found.error_code).retriable:  # the first to ask has the topic of offsets made
        await asyncio.sleep(_ASK_AGAIN_S)
        found = await client.send(client.get_random_node(), FindCoordinatorRequest(group_id, 0))
    if _is_denied(found.error_code):
        return GroupFacts()
    await client.ready(found.coordinator_id)
    answer = await client.send(found.coordinator_id, GroupsRequest([group_id]))
    code, _, state, _, assignor, members, operations = answer.groups[0]
    return GroupFacts() if _is_denied(code) else GroupFacts(state, assignor, len(members), _rights(operations))


def _is_denied(code: int) -> bool:
    """Tell whether a group is not for us. Raises any other error."""
    error = for_code(code)
    if code and error is not GroupAuthorizationFailedError:
        raise error
    return bool(code)


def _rights(operations: int) -> frozenset[str]:
    """Read the bits. A broker that keeps no rights sets all of them."""
    if operations == _NOT_TOLD:
        return frozenset(_OPERATIONS)
    return frozenset(name for name, bit in _OPERATIONS.items() if operations & (1 << bit))
