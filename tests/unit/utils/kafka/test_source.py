"""What the consumer is configured with."""

from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from utils.kafka.source import SETTINGS


def test_the_consumers_settings_are_what_the_worker_relies_on() -> None:
    """The settings are manual commits, one assignor, from the beginning, and chosen timeouts (BRIDGE, rule 12)."""
    assert SETTINGS["enable_auto_commit"] is False
    assert SETTINGS["auto_offset_reset"] == "earliest"
    assert SETTINGS["partition_assignment_strategy"] == (RangePartitionAssignor,)
    assert SETTINGS["rebalance_timeout_ms"] > SETTINGS["session_timeout_ms"] > 2 * SETTINGS["heartbeat_interval_ms"]
    assert SETTINGS["max_poll_interval_ms"] >= SETTINGS["rebalance_timeout_ms"]
    assert not any("deserializer" in name for name in SETTINGS)
