"""The proxy forwards everything by default, and can hold, stop and drop traffic."""

import asyncio
import gzip
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.proxy import (
    OFFSET_COMMIT,
    Proxy,
    Trap,
    is_kafka_response,
    is_temporal_response,
    kafka_request,
)
from tests.faults.proxy import temporal_call, http2_frame, kafka_frame

_WITHIN_S = 20


@asynccontextmanager
async def _proxied_server() -> AsyncIterator[tuple[Proxy, list[bytes]]]:
    """Run a proxy to a server that answers each Kafka request with its correlation id; also yield what it received."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while frame := await kafka_frame(reader):
            received.append(frame)
            writer.write(struct.pack(">i", 4) + frame[8:12])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = Proxy(kafka_frame)
    await proxy.listen()
    proxy.forward_to(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")

    try:
        yield proxy, received
    finally:
        await proxy.stop()
        server.close()


def _request(api_key: int, correlation_id: int) -> bytes:
    return struct.pack(">ihhi", 8, api_key, 1, correlation_id)


async def _answer(reader: asyncio.StreamReader) -> int:
    frame = await asyncio.wait_for(kafka_frame(reader), _WITHIN_S)
    return int(struct.unpack(">ii", frame)[1])


async def test_a_proxy_holds_traffic_until_it_is_opened() -> None:
    """Nothing passes a holding proxy; once it opens, everything it held passes in order."""
    async with _proxied_server() as (proxy, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(_request(1, 1))

        assert await _answer(reader) == 1

        proxy.hold()
        writer.write(_request(1, 2))
        writer.write(_request(1, 3))
        proxy.open()

        assert [await _answer(reader), await _answer(reader)] == [2, 3]

        writer.close()


async def test_a_trap_stops_a_request() -> None:
    """The chosen request never reaches the server: it is lost when the connections are cut."""
    async with _proxied_server() as (proxy, received):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        trap = proxy.set_trap(Trap(kafka_request(OFFSET_COMMIT)))
        writer.write(_request(1, 1) + _request(OFFSET_COMMIT, 2))
        await asyncio.wait_for(trap.triggered.wait(), _WITHIN_S)
        await proxy.cut()
        proxy.open()

        assert trap.request == _request(OFFSET_COMMIT, 2)
        assert _request(OFFSET_COMMIT, 2) not in received

        writer.close()


async def test_a_trap_stops_a_response() -> None:
    """The chosen request reaches the server, but its response never reaches the client."""
    async with _proxied_server() as (proxy, received):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        trap = proxy.set_trap(Trap(kafka_request(OFFSET_COMMIT), is_kafka_response))
        writer.write(_request(1, 1) + _request(OFFSET_COMMIT, 2))
        await asyncio.wait_for(trap.triggered.wait(), _WITHIN_S)

        assert received[-1] == _request(OFFSET_COMMIT, 2)

        await proxy.cut()
        rest = await asyncio.wait_for(_rest(reader), _WITHIN_S)

        assert struct.pack(">ii", 4, 2) not in rest

        writer.close()


async def test_a_proxy_drops_one_kind_of_request() -> None:
    """Requests that match ``drops`` vanish; all others pass."""
    async with _proxied_server() as (proxy, received):
        proxy.drops = kafka_request(OFFSET_COMMIT)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(_request(OFFSET_COMMIT, 1) + _request(1, 2))
        assert await _answer(reader) == 2
        assert received == [_request(1, 2)]
        writer.close()


async def test_a_temporal_call_is_recognised_in_a_compressed_frame() -> None:
    """The text of a call is found in an HTTP/2 frame although gRPC compresses it; the response has the same stream."""
    message = gzip.compress(b"signin/abc/1")
    data = b"\x01" + struct.pack(">i", len(message)) + message
    frame = struct.pack(">i", len(data))[1:] + b"\x00\x01" + struct.pack(">i", 5) + data
    reader = asyncio.StreamReader()
    reader.feed_data(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame)
    reader.feed_eof()

    assert (await http2_frame(reader)).startswith(b"PRI")

    read = await http2_frame(reader)

    assert read == frame and await http2_frame(reader) == b""
    assert temporal_call(b"signin/abc/1")(read) and not temporal_call(b"signin/xyz/1")(read)

    headers = b"\x00\x00\x00\x01\x05" + struct.pack(">i", 5)

    assert is_temporal_response(read, headers)
    assert not is_temporal_response(read, headers[:-1] + b"\x07")


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(-1)
    except ConnectionResetError:
        return b""
