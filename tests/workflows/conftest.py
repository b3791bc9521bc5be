"""Fixtures for tests of the workflows on the time-skipping server."""

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from tests.fakes.stage import Stage


@pytest.fixture
async def unhurried(time_skipping: WorkflowEnvironment) -> Client:
    """Give a client of the time-skipping server that lets no time pass while it waits for a result.

    The environment's own does, and the server then also skips to timeouts of activities that have ended: by years.
    """
    address = time_skipping.client.service_client.config.target_host
    return await Client.connect(address, data_converter=pydantic_data_converter)


@pytest.fixture
async def stage(time_skipping: WorkflowEnvironment, unhurried: Client) -> AsyncIterator[Stage]:
    """Give both workflows at work, over fakes. Time passes when a test says so."""
    async with Stage(unhurried, time_skipping.get_current_time).working() as stage:
        yield stage
