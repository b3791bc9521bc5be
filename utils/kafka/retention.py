"""How long Kafka's topics hold what is written to them now."""

from collections.abc import Sequence
from datetime import timedelta

from utils.kafka.access import KafkaAccess
from utils.kafka.topics import TopicState, look_up_topics


async def retention(access: KafkaAccess, names: Sequence[str]) -> dict[str, timedelta | None]:
    """Return how long each topic that exists holds a record at most; None: for ever. Raises ``KafkaUnavailable``."""
    states = await look_up_topics(access, names)
    return {name: held_for(states[name]) for name in names if name in states}


def held_for(topic: TopicState) -> timedelta | None:
    """Return the topic's retention and the time of one segment: Kafka deletes whole segments, by their last record."""
    retention_ms = int(topic.settings.get("retention.ms", -1))
    segment_ms = int(topic.settings.get("segment.ms", 0))
    if retention_ms < 0 or "delete" not in topic.settings.get("cleanup.policy", ""):
        return None

    return timedelta(milliseconds=retention_ms + segment_ms)
