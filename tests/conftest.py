"""Fixtures that several suites share: the real parts of the local stack, started when a test first asks for them."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import uvloop
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from hypothesis import settings
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from deploy.local.servers.backends import Kafka, Temporal, choose_kafka, choose_temporal, described
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.places import StackError
from deploy.local.servers.siteverify import SiteverifyServer
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.topics import Topics
from tests.fakes.time_skipping import time_skipping_server


settings.register_profile("untimed", deadline=None)  # a busy machine is no defect
settings.load_profile("untimed")

S = TypeVar("S", Kafka, Temporal)

# Each group runs in one process, so that its tests share one Kafka and one Temporal. All other tests run anywhere.
_GROUPS: Final = {
    "contracts": "shared servers",
    "integration": "shared servers",
    "workflows": "shared servers",
    "docs": "servers of their own",
    "faults": "servers of their own",
    "redteam": "servers of their own",
    "web": "a browser",
}


def pytest_report_header() -> str:
    """Say in pytest's header which Kafka and Temporal the tests use."""
    try:
        return f"stack: {described()}"
    except StackError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share servers in one process when tests run in several."""
    tests = Path(__file__).parent

    for item in items:
        folder = item.path.relative_to(tests).parts[0]
        if folder in _GROUPS:
            item.add_marker(pytest.mark.xdist_group(_GROUPS[folder]))


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """Run all tests on the event loop that the worker runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """Give a real Kafka broker: ``kafka.bootstrap_servers``."""
    yield from _running(choose_kafka())


@pytest.fixture(scope="session")
def temporal() -> Iterator[Temporal]:
    """Give a real Temporal server: ``temporal.address``, namespace ``default``."""
    yield from _running(choose_temporal())


@pytest.fixture
async def temporal_client(temporal: Temporal) -> Client:
    """Give a client of the real server that converts pydantic models."""
    return await Client.connect(
        temporal.address, namespace=LocalTemporal.namespace, data_converter=pydantic_data_converter
    )


@pytest.fixture
async def topics(kafka: Kafka) -> Topics:
    """Create topics for this test alone: inbound ones with two partitions and the broker's stamp, results with one."""
    topics = Topics.fresh("test")
    stamped = {"message.timestamp.type": "LogAppendTime"}
    inbound = [NewTopic(name, 2, 1, topic_configs=stamped) for name in topics.inbound]
    others = [NewTopic(name, 1, 1) for name in (topics.results, *topics.dead_letters)]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()

    try:
        await admin.create_topics(inbound + others)
    finally:
        await admin.close()

    return topics


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    """Give an SMTP server in the test's own loop (plain; build ``MailServer(security=…)`` yourself for TLS)."""
    server = MailServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def siteverify() -> AsyncIterator[SiteverifyServer]:
    """Give a server that speaks Turnstile's siteverify, in the test's own loop."""
    server = SiteverifyServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def dns_server() -> AsyncIterator[DnsServer]:
    """Give a DNS server with a scripted zone, in the test's own loop."""
    server = DnsServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """Give Temporal's time-skipping test server, one a test: its clock runs ahead and must not reach the next test."""
    async with time_skipping_server() as environment:
        yield environment


def _running(server: S) -> Iterator[S]:
    try:
        server.start()
    except StackError as error:
        pytest.fail(str(error), pytrace=False)
    yield server
    server.stop()
