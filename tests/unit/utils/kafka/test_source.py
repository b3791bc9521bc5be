"""What the consumer is configured with."""

import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from utils.kafka.access import KafkaAccess
from utils.kafka.source import SETTINGS, KafkaSource


def test_the_consumers_settings_are_what_the_worker_relies_on() -> None:
    """The settings are manual commits, one assignor, from the beginning, and chosen timeouts (BRIDGE, rule 12)."""
    assert SETTINGS["enable_auto_commit"] is False
    assert SETTINGS["auto_offset_reset"] == "earliest"
    assert SETTINGS["partition_assignment_strategy"] == (RangePartitionAssignor,)
    assert SETTINGS["rebalance_timeout_ms"] > SETTINGS["session_timeout_ms"] > 2 * SETTINGS["heartbeat_interval_ms"]
    assert SETTINGS["max_poll_interval_ms"] >= SETTINGS["rebalance_timeout_ms"]
    assert not any("deserializer" in name for name in SETTINGS)


@pytest.mark.parametrize(("session_ms", "heartbeat_ms"), [(4_000, 1_000), (6_000, 1_500), (45_000, 1_500)])
def test_a_session_has_at_least_four_heartbeats(session_ms: int, heartbeat_ms: int) -> None:
    """However short the session is, three lost heartbeats do not end it."""
    source = KafkaSource(KafkaAccess("b:9092"), "group", ["topic"], session_timeout_ms=session_ms, client_rack="a")

    assert source.settings["session_timeout_ms"] == session_ms
    assert source.settings["heartbeat_interval_ms"] == heartbeat_ms
    assert source.settings["client_rack"] == "a"
