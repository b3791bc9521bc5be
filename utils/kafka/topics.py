"""Kafka's topics: how they should be set up, creating them, and looking them up."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from consumers.ports import KafkaUnavailable
from schemas.topics import dead_letter_topic
from utils.kafka.access import KafkaAccess
from utils.kafka.clients import kafka_admin
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES

DEFAULT_PARTITIONS: Final = 6

_MAX_REPLICAS: Final = 3
_HOUR_MS: Final = 3_600_000
_VISIBLE_WITHIN_S: Final = 10.0
_RETRY_S: Final = 0.1

# The broker's timestamp makes an event's age independent of its emitter's clock. Compaction
# would keep only one event of each sign-in, because all of them share one key.
_INBOUND_SETTINGS: Final = {
    "message.timestamp.type": "LogAppendTime",
    "cleanup.policy": "delete",
}

_DEAD_LETTER_SETTINGS: Final = {
    "message.timestamp.type": "LogAppendTime",
    "cleanup.policy": "delete",
    "max.message.bytes": str(MAX_DEAD_LETTER_BYTES),
    # A dead letter may hold a code, so it must be gone after 24 h (SECURITY S8). Kafka
    # deletes a whole segment once its newest record is past the retention: the oldest
    # record lives for the retention plus the segment's time.
    "retention.ms": str(22 * _HOUR_MS),
    "segment.ms": str(_HOUR_MS),
}


@dataclass(frozen=True)
class TopicPlan:
    """A topic as it should be. The broker's defaults apply to all other settings."""

    name: str
    partitions: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class TopicReport:
    """What became of a plan. ``differences`` are sentences; an existing topic is never changed."""

    name: str
    created: bool
    differences: Sequence[str] = ()


@dataclass(frozen=True)
class TopicState:
    """A topic as it is. ``settings``: None without the right to see them."""

    partitions: int
    settings: Mapping[str, str] | None


def planned_topics(
    requested: str, submitted: str, results: str, partitions: int = DEFAULT_PARTITIONS
) -> list[TopicPlan]:
    """Return the five topics.

    Both inbound topics have the same number of partitions: workers get pairs of them.
    """
    inbound = (requested, submitted)
    return [
        *(TopicPlan(name, partitions, _INBOUND_SETTINGS) for name in inbound),
        *(TopicPlan(dead_letter_topic(name), partitions, _DEAD_LETTER_SETTINGS) for name in inbound),
        TopicPlan(results, partitions, {}),
    ]


async def create_topics(
    access: KafkaAccess, plans: Sequence[TopicPlan], replicas: int | None = None
) -> list[TopicReport]:
    """Create the missing topics and return once they can be used. Raises ``KafkaUnavailable``.

    Without ``replicas``, a topic has three, or one per broker if there are fewer brokers. Existing
    topics are compared with their plans, never changed.
    """
    async with kafka_admin(access) as admin:
        existing = set(await admin.list_topics())
        missing = [plan for plan in plans if plan.name not in existing]
        if missing:
            await _create(admin, missing, replicas)

        states = await _wait_until_visible(admin, [plan.name for plan in plans])

    return [TopicReport(plan.name, plan in missing, differences(plan, states[plan.name])) for plan in plans]


async def look_up_topics(access: KafkaAccess, names: Sequence[str]) -> dict[str, TopicState]:
    """Return the topics that exist, by name. Creates none. Raises ``KafkaUnavailable``."""
    async with kafka_admin(access) as admin:
        return await _states(admin, names)


async def _create(admin: Any, plans: Sequence[TopicPlan], replicas: int | None) -> None:
    if replicas is None:
        cluster = await admin.describe_cluster()
        replicas = min(_MAX_REPLICAS, len(cluster["brokers"]))

    topics = [NewTopic(plan.name, plan.partitions, replicas, topic_configs=dict(plan.settings)) for plan in plans]

    answer = await admin.create_topics(topics)

    for topic, code, *messages in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:  # somebody else may have created it since we looked
            message = next(iter(messages), None) or ""
            raise KafkaUnavailable(f"{topic}: {error.__name__} {message}".strip())


async def _wait_until_visible(admin: Any, names: Sequence[str]) -> dict[str, TopicState]:
    """Return the topics once all of them are visible: a broker learns of them after the controller created them."""
    async with asyncio.timeout(_VISIBLE_WITHIN_S):
        while len(states := await _states(admin, names)) < len(set(names)):
            await asyncio.sleep(_RETRY_S)

    return states


async def _states(admin: Any, names: Sequence[str]) -> dict[str, TopicState]:
    # All topics are listed: a request for a missing topic by name creates it, where brokers
    # do that.
    topics = [topic for topic in await admin.describe_topics() if topic["topic"] in set(names)]
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in topics if not topic["error_code"]}
    if not partitions:
        return {}

    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in partitions]
    answers = await admin.describe_configs(resources)

    states = {}
    for answer in answers:
        for code, _, _, name, entries, *_ in answer.resources:
            if not code:
                settings = {entry[0]: entry[1] for entry in entries}
                states[name] = TopicState(partitions[name], settings)
            elif for_code(code) is TopicAuthorizationFailedError:
                states[name] = TopicState(partitions[name], None)

    return states


def differing_settings(plan: TopicPlan, settings: Mapping[str, str]) -> dict[str, str | None]:
    """Return the actual values of settings that do not suit the plan.

    A shorter retention and a higher size limit than planned do suit it.
    """
    return {
        name: settings.get(name)
        for name, planned in plan.settings.items()
        if not _suits(name, settings.get(name), planned)
    }


def differences(plan: TopicPlan, state: TopicState) -> list[str]:
    """Return a sentence for each thing that is not as planned."""
    found = []
    if state.partitions != plan.partitions:
        found.append(f"{plan.name} has {state.partitions} partitions, not {plan.partitions}")
    if state.settings is None:
        return [*found, f"{plan.name}: no right to see its settings"]

    for name, actual in differing_settings(plan, state.settings).items():
        found.append(f"{plan.name}: {name} is {actual}, not {plan.settings[name]}")

    return found


def _suits(name: str, actual: str | None, planned: str) -> bool:
    if actual is None:
        return False

    match name:
        case "retention.ms" | "segment.ms":
            return 0 <= int(actual) <= int(planned)
        case "max.message.bytes":
            return int(actual) >= int(planned)
        case _:
            return actual == planned
