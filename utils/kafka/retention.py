"""How long Kafka's topics hold what is written to them now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from utils.kafka.access import KafkaAccess
from utils.kafka.topics import TopicState, look_up_topics

A_CENTURY: Final = timedelta(days=36_525)
_CENTURY_MS: Final = A_CENTURY // timedelta(milliseconds=1)


@dataclass(frozen=True)
class Unknown:
    """Nobody can tell how long a topic holds its records, for this reason."""

    why: str


Held = timedelta | Unknown | None
"""How long records are held at most; None: for ever."""


async def retention(access: KafkaAccess, names: Sequence[str]) -> dict[str, Held]:
    """Return how long each topic holds a record at most. Raises ``KafkaUnavailable``."""
    states = await look_up_topics(access, names)
    unseen = Unknown("it does not exist, or there is no right to see it")
    return {name: held_for(states[name]) if name in states else unseen for name in names}


def held_for(topic: TopicState) -> Held:
    """Return the topic's retention and the time of one segment: Kafka deletes whole segments, by their last record.

    More than a century is for ever: the end of the largest retention is beyond all dates.
    """
    if topic.settings is None:
        return Unknown("no right to see its settings")

    retention_ms = int(topic.settings.get("retention.ms", -1))
    held_ms = retention_ms + int(topic.settings.get("segment.ms", 0))
    if retention_ms < 0 or held_ms > _CENTURY_MS or "delete" not in topic.settings.get("cleanup.policy", ""):
        return None

    return timedelta(milliseconds=held_ms)
