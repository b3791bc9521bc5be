"""Fixtures for tests of the workflows on the time-skipping server."""

from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.fakes.stage import Stage


@pytest.fixture
async def stage(time_skipping: WorkflowEnvironment) -> AsyncIterator[Stage]:
    """Give both workflows at work, over fakes."""
    async with Stage(time_skipping.client, time_skipping.get_current_time).working() as stage:
        yield stage
