"""The age of a partition whose next record was written by somebody else. Real lags: tests/integration/test_lag.py."""

from datetime import UTC, datetime

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tests.fakes.prefetching_consumer import P0, FakeClient
from utils.kafka.lag import _times

NOW = datetime(2026, 11, 27, 16, 0, 0, 123_000, tzinfo=UTC)
NOW_MS = 1_795_795_200_123


def batch(timestamp: int) -> bytes:
    """Return a batch of one record."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    builder.append(0, timestamp, b"key", b"{}", [])
    return bytes(builder.build())


@pytest.mark.parametrize(("timestamp", "times"), [(NOW_MS, {P0: NOW}), (NOW_MS * 1_000, {}), (2**62, {})])
async def test_a_timestamp_that_is_no_time_gives_no_age(timestamp: int, times: object) -> None:
    """An emitter may count in microseconds. The lag is shown all the same."""
    client = FakeClient()
    client.add(P0, 0, 1, batch(timestamp))
    assert await _times(client, {P0: 0}) == times
