"""For how long a topic holds a record."""

from datetime import timedelta

import pytest

from utils.kafka.access import KafkaAccess
from utils.kafka.retention import Unknown, held_for, retention
from utils.kafka.topics import TopicState


@pytest.mark.parametrize(
    ("settings", "held"),
    [
        ({"retention.ms": "79200000", "segment.ms": "3600000", "cleanup.policy": "delete"}, timedelta(hours=23)),
        ({"retention.ms": "-1", "segment.ms": "3600000", "cleanup.policy": "delete"}, None),
        ({"retention.ms": "79200000", "segment.ms": "3600000", "cleanup.policy": "compact"}, None),
        ({"retention.ms": "3600000", "segment.ms": "0", "cleanup.policy": "compact,delete"}, timedelta(hours=1)),
        ({"retention.ms": "9223372036854775807", "segment.ms": "604800000", "cleanup.policy": "delete"}, None),
        ({"retention.ms": "315360000000000", "segment.ms": "604800000", "cleanup.policy": "delete"}, None),
        ({"retention.ms": "79200000", "segment.ms": "9223372036854775807", "cleanup.policy": "delete"}, None),
        ({"retention.ms": "0", "segment.ms": "0", "cleanup.policy": "delete"}, timedelta(0)),
        ({}, None),
    ],
)
def test_a_topic_holds_records_for_its_retention_and_a_segment(
    settings: dict[str, str], held: timedelta | None
) -> None:
    """A whole segment goes once its newest record is past the retention. More than a century is for ever."""
    assert held_for(TopicState(1, settings)) == held


async def test_every_topic_is_accounted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever erases must not take a topic that cannot be seen for one that holds nothing."""

    async def look_up(_access: KafkaAccess, _names: object) -> dict[str, TopicState]:
        return {"in": TopicState(1, {}), "refused": TopicState(1, None)}

    monkeypatch.setattr("utils.kafka.retention.look_up_topics", look_up)

    assert await retention(KafkaAccess("k:9092"), ["in", "refused", "unseen"]) == {
        "in": None,
        "refused": Unknown("no right to see its settings"),
        "unseen": Unknown("it does not exist, or there is no right to see it"),
    }
