"""A connection that a broker has closed is reported as an error of Kafka's client, on every event loop."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.util import wait_for

from utils.kafka.access import KafkaAccess


@pytest.fixture
async def closed() -> AsyncIterator[AIOKafkaConnection]:
    """Give a connection whose transport is closed, which its reader has not noticed yet."""
    server = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    KafkaAccess(f"{host}:{port}").options()  # as every client does when it is built

    connection = AIOKafkaConnection(host, port)
    connection._reader, connection._writer = await asyncio.open_connection(host, port)
    connection._read_task = asyncio.create_task(asyncio.sleep(0))
    connection._writer.transport.abort()
    await asyncio.sleep(0)

    yield connection
    server.close()


async def test_a_request_on_a_closed_transport_fails_like_one_on_a_broken_connection(
    closed: AIOKafkaConnection,
) -> None:
    """On uvloop it is a ``RuntimeError``, which ends aiokafka's background tasks for ever: no metadata, no fetches."""
    with pytest.raises(KafkaConnectionError):
        await wait_for(closed.send(ApiVersionRequest()), 5)

    assert closed._writer is None


async def test_a_login_on_a_closed_transport_fails_like_one_on_a_broken_connection(closed: AIOKafkaConnection) -> None:
    """A broker may hang up between two tokens."""
    with pytest.raises(KafkaConnectionError):
        await wait_for(closed._send_sasl_token(b"token"), 5)
