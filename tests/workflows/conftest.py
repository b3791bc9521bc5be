"""Fixtures for tests of the workflows on the time-skipping server."""

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.fakes.stage import Stage
from tests.fakes.time_skipping import unhurried_client


@pytest.fixture
async def unhurried(time_skipping: WorkflowEnvironment) -> Client:
    """Give a client that never lets the server skip time."""
    return await unhurried_client(time_skipping)


@pytest.fixture
async def stage(time_skipping: WorkflowEnvironment, unhurried: Client) -> AsyncIterator[Stage]:
    """Give both workflows running over fakes. Time passes only when a test says so."""
    async with Stage(unhurried, time_skipping.get_current_time).working() as stage:
        yield stage
