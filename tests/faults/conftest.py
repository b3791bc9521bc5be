"""The servers of the fault programme for tests: those of one broker, and those of three."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from deploy.local.places import StackError
from tests.faults.servers import Servers, running_servers


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[Servers]:
    """Run one Kafka broker, Temporal and the small servers, all of which can be broken."""
    async with _started(brokers=1) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Servers]:
    """Run the same with three Kafka brokers."""
    async with _started(brokers=3) as running:
        yield running


@asynccontextmanager
async def _started(brokers: int) -> AsyncIterator[Servers]:
    try:
        async with running_servers(brokers) as running:
            yield running
    except StackError as error:
        pytest.fail(str(error), pytrace=False)
