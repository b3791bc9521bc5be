"""Fixtures of the tests that run the real worker and its commands."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local.servers.backends import Kafka, Temporal
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.outside import outside_settings
from deploy.local.servers.siteverify import SiteverifyServer
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.topics import Topics
from deploy.local.worker import development_settings
from tests.integration.dead_letter_bench import DeadLetterBench
from utils.kafka.access import KafkaAccess
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES, ReliableProducer


@pytest.fixture
def worker_settings(
    kafka: Kafka,
    temporal: Temporal,
    topics: Topics,
    mail_server: MailServer,
    siteverify: SiteverifyServer,
    dns_server: DnsServer,
) -> dict[str, str]:
    """Give the settings of a worker on topics and queues of its own."""
    return development_settings(
        {
            "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "SIGNIN_KAFKA__GROUP_ID": topics.group_id,
            "SIGNIN_KAFKA__REQUESTED_TOPIC": topics.requested,
            "SIGNIN_KAFKA__SUBMITTED_TOPIC": topics.submitted,
            "SIGNIN_KAFKA__RESULTS_TOPIC": topics.results,
            "SIGNIN_TEMPORAL__TASK_QUEUE": topics.group_id,
            "TEMPORAL_ADDRESS": temporal.address,
            **outside_settings(mail_server, siteverify, dns_server),
        }
    )


@pytest.fixture
async def bench(kafka: Kafka, topics: Topics) -> AsyncIterator[DeadLetterBench]:
    """Give dead-letter topics without dead letters."""
    access = KafkaAccess(kafka.bootstrap_servers)
    producer = ReliableProducer(access, max_request_bytes=MAX_DEAD_LETTER_BYTES)
    yield DeadLetterBench(access, topics, producer)
    await producer.close()


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Undo what a command that runs in this process does to the log."""
    root = logging.getLogger()
    handlers = root.handlers
    level = root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def own_server() -> Iterator[LocalTemporal]:
    """Give a server that this test may hurt."""
    server = LocalTemporal(durable=True)
    server.start()
    yield server
    server.stop()
