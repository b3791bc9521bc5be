"""For how long a topic holds a record."""

from datetime import timedelta

import pytest

from utils.kafka.retention import held_for
from utils.kafka.topics import TopicState


@pytest.mark.parametrize(
    ("settings", "held"),
    [
        ({"retention.ms": "79200000", "segment.ms": "3600000", "cleanup.policy": "delete"}, timedelta(hours=23)),
        ({"retention.ms": "-1", "segment.ms": "3600000", "cleanup.policy": "delete"}, None),
        ({"retention.ms": "79200000", "segment.ms": "3600000", "cleanup.policy": "compact"}, None),
        ({"retention.ms": "3600000", "segment.ms": "0", "cleanup.policy": "compact,delete"}, timedelta(hours=1)),
        ({}, None),
    ],
)
def test_a_topic_holds_records_for_its_retention_and_a_segment(
    settings: dict[str, str], held: timedelta | None
) -> None:
    """A whole segment goes once its newest record is past the retention. Without deletion, records stay for ever."""
    assert held_for(TopicState(1, settings)) == held
