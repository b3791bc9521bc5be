"""Kafka's topics: what they should look like, making them, and looking them up."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from consumers.ports import KafkaUnavailable
from schemas.topics import dead_letter_topic
from utils.kafka.producers import LARGEST_DEAD_LETTER, KafkaAccess

DEFAULT_PARTITIONS: Final = 6

_MOST_REPLICAS = 3
_HOUR_MS = 3_600_000
_TIMEOUT_S = 30.0
_VISIBLE_WITHIN_S = 10.0
_LOOK_AGAIN_S = 0.1

# The broker's stamp makes an event's age independent of its emitter's clock. Compacted, a topic would keep one event of
# each sign-in, since that is the key.
_INBOUND = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete"}

_DEAD_LETTERS = {
    "message.timestamp.type": "LogAppendTime",
    "cleanup.policy": "delete",
    "max.message.bytes": str(LARGEST_DEAD_LETTER),
    # A dead letter may hold a code: gone after 24 h (SECURITY S8). Kafka drops whole segments, the youngest record
    # of which is past the retention: so the oldest record lives for retention plus segment time.
    "retention.ms": str(22 * _HOUR_MS),
    "segment.ms": str(_HOUR_MS),
}


@dataclass(frozen=True)
class TopicPlan:
    """A topic as it should be. ``settings`` not named are the broker's."""

    name: str
    partitions: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class TopicReport:
    """What became of a plan. ``differences``: sentences on what is not as planned; nothing is altered."""

    name: str
    created: bool
    differences: Sequence[str] = ()


@dataclass(frozen=True)
class TopicState:
    """A topic as it is."""

    partitions: int
    settings: Mapping[str, str]


def planned_topics(
    requested: str, submitted: str, results: str, partitions: int = DEFAULT_PARTITIONS
) -> list[TopicPlan]:
    """Return the five topics. The inbound ones have equally many partitions, so that a worker gets pairs of them."""
    inbound = (requested, submitted)
    return [
        *(TopicPlan(name, partitions, _INBOUND) for name in inbound),
        *(TopicPlan(dead_letter_topic(name), partitions, _DEAD_LETTERS) for name in inbound),
        TopicPlan(results, partitions, {}),
    ]


async def create_topics(access: KafkaAccess, plans: Sequence[TopicPlan]) -> list[TopicReport]:
    """Create the topics that are missing and return once they can be used. Raises ``KafkaUnavailable``.

    Replicas: three, or one a broker where there are fewer. A topic that is there already is compared, never changed.
    """
    async with _admin(access) as admin:
        there = set(await admin.list_topics())
        missing = [plan for plan in plans if plan.name not in there]
        if missing:
            await _create(admin, missing)
        names = [plan.name for plan in plans]
        states = await _until_visible(admin, names)
    new = {plan.name for plan in missing}
    return [TopicReport(plan.name, plan.name in new, _differences(plan, states[plan.name])) for plan in plans]


async def look_up_topics(access: KafkaAccess, names: Sequence[str]) -> dict[str, TopicState]:
    """Return the topics that are there, by name. Raises ``KafkaUnavailable``. Creates none."""
    async with _admin(access) as admin:
        return await _states(admin, names)


@asynccontextmanager
async def _admin(access: KafkaAccess) -> AsyncIterator[Any]:
    """Yield a client that is connected. Whatever goes wrong in the block is ``KafkaUnavailable``."""
    admin = AIOKafkaAdminClient(**access.options())
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await admin.start()
            yield admin
    except TimeoutError:
        raise KafkaUnavailable(f"no answer within {_TIMEOUT_S:g} s") from None
    except (KafkaError, OSError) as error:
        raise KafkaUnavailable(f"{type(error).__name__}: {error}") from None
    finally:
        await admin.close()


async def _create(admin: Any, plans: Sequence[TopicPlan]) -> None:
    brokers = len((await admin.describe_cluster())["brokers"])
    replicas = min(_MOST_REPLICAS, brokers)
    new = [NewTopic(plan.name, plan.partitions, replicas, topic_configs=dict(plan.settings)) for plan in plans]
    answer = await admin.create_topics(new)
    for topic, code, *rest in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:  # made by somebody else since we looked: fine
            raise KafkaUnavailable(f"{topic}: {error.__name__} {next(iter(rest), None) or ''}".strip())


async def _until_visible(admin: Any, names: Sequence[str]) -> dict[str, TopicState]:
    """Return the topics once all of them are there: the controller made them, a broker may not know yet."""
    async with asyncio.timeout(_VISIBLE_WITHIN_S):
        while len(states := await _states(admin, names)) < len(set(names)):
            await asyncio.sleep(_LOOK_AGAIN_S)
    return states


async def _states(admin: Any, names: Sequence[str]) -> dict[str, TopicState]:
    # All topics are listed: to name one that is missing would create it where brokers create topics by themselves.
    described = [topic for topic in await admin.describe_topics() if topic["topic"] in set(names)]
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in described if not topic["error_code"]}
    if not partitions:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in partitions])
    states = {}
    for answer in answers:
        for code, _, _, name, entries, *_ in answer.resources:
            if not code:
                settings = {entry[0]: entry[1] for entry in entries}
                states[name] = TopicState(partitions[name], settings)
    return states


def settings_apart(plan: TopicPlan, settings: Mapping[str, str]) -> dict[str, str | None]:
    """Return the settings that are not as planned, as they are. Forgetting earlier, or taking more, is as planned."""
    return {name: settings.get(name) for name, wanted in plan.settings.items() if not _suits(name, settings, wanted)}


def _differences(plan: TopicPlan, state: TopicState) -> list[str]:
    """Tell what is not as planned."""
    found = []
    if state.partitions != plan.partitions:
        found.append(f"{plan.name} has {state.partitions} partitions, not {plan.partitions}")
    for name, actual in settings_apart(plan, state.settings).items():
        found.append(f"{plan.name}: {name} is {actual}, not {plan.settings[name]}")
    return found


def _suits(name: str, settings: Mapping[str, str], wanted: str) -> bool:
    actual = settings.get(name)
    if actual is not None and name in ("retention.ms", "segment.ms"):
        return 0 <= int(actual) <= int(wanted)
    if actual is not None and name == "max.message.bytes":
        return int(actual) >= int(wanted)
    return actual == wanted
