"""Asks Kafka brokers whether they are ready. Works inside and outside of an event loop."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.waiting import run_in_thread


def broker_answers(bootstrap_servers: str) -> bool:
    """Tell whether a broker answers a metadata request."""
    return run_in_thread(_count_brokers(bootstrap_servers)) > 0


def brokers_are_in_sync(bootstrap_servers: str, brokers: int) -> bool:
    """Tell whether this many brokers are registered and each partition is on all of its replicas."""
    return run_in_thread(_in_sync(bootstrap_servers, brokers))


async def _count_brokers(bootstrap_servers: str) -> int:
    if not _any_listens(bootstrap_servers):
        return 0

    try:
        async with _admin(bootstrap_servers) as admin:
            return len((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError):
        return 0


async def _in_sync(bootstrap_servers: str, brokers: int) -> bool:
    if not _any_listens(bootstrap_servers):
        return False

    try:
        async with _admin(bootstrap_servers) as admin:
            registered = (await admin.describe_cluster())["brokers"]
            topics = await admin.describe_topics()
    except (KafkaError, OSError):
        return False

    partitions = [partition for topic in topics for partition in topic["partitions"]]
    return len(registered) == brokers and all(
        partition["leader"] >= 0 and set(partition["isr"]) == set(partition["replicas"]) for partition in partitions
    )


@asynccontextmanager
async def _admin(bootstrap_servers: str) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=5_000)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _any_listens(bootstrap_servers: str) -> bool:
    """Tell whether anything listens. Checked first, because the client logs each refused connection as an error."""
    return any(_listens(address) for address in bootstrap_servers.split(","))


def _listens(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, ValueError):
        return False
    return True
