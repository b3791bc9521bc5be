"""The proxy passes everything on, until it is told otherwise."""

import asyncio
import gzip
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.proxy import OFFSET_COMMIT, Proxy, Trap, answers_kafka, answers_temporal, asks_kafka
from tests.faults.proxy import calls_temporal, http2_frame, kafka_frame

_WITHIN_S = 20


@asynccontextmanager
async def _echo() -> AsyncIterator[tuple[Proxy, list[bytes]]]:
    """Give a proxy to a server that answers each of Kafka's requests with its correlation id; and what it got."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while frame := await kafka_frame(reader):
            got.append(frame)
            writer.write(struct.pack(">i", 4) + frame[8:12])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = Proxy(kafka_frame)
    await proxy.listen()
    proxy.lead_to(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")

    try:
        yield proxy, got
    finally:
        await proxy.stop()
        server.close()


def _request(api_key: int, correlation_id: int) -> bytes:
    return struct.pack(">ihhi", 8, api_key, 1, correlation_id)


async def _answer(reader: asyncio.StreamReader) -> int:
    frame = await asyncio.wait_for(kafka_frame(reader), _WITHIN_S)
    return int(struct.unpack(">ii", frame)[1])


async def test_passes_until_held() -> None:
    """Nothing passes a proxy that holds; what was held passes when it opens."""
    async with _echo() as (proxy, got):
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
    """The chosen request never arrives: it is lost when the connections are cut."""
    async with _echo() as (proxy, got):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        trap = proxy.set_trap(Trap(asks_kafka(OFFSET_COMMIT)))
        writer.write(_request(1, 1) + _request(OFFSET_COMMIT, 2))
        await asyncio.wait_for(trap.sprung.wait(), _WITHIN_S)
        await proxy.cut()
        proxy.open()

        assert trap.asked == _request(OFFSET_COMMIT, 2)
        assert _request(OFFSET_COMMIT, 2) not in got

        writer.close()


async def test_a_trap_stops_an_answer() -> None:
    """The chosen request arrives, its answer does not."""
    async with _echo() as (proxy, got):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        trap = proxy.set_trap(Trap(asks_kafka(OFFSET_COMMIT), answers_kafka))
        writer.write(_request(1, 1) + _request(OFFSET_COMMIT, 2))
        await asyncio.wait_for(trap.sprung.wait(), _WITHIN_S)

        assert got[-1] == _request(OFFSET_COMMIT, 2)

        await proxy.cut()
        rest = await asyncio.wait_for(_rest(reader), _WITHIN_S)

        assert struct.pack(">ii", 4, 2) not in rest

        writer.close()


async def test_swallows_what_it_is_told() -> None:
    """One kind of request vanishes; the others pass."""
    async with _echo() as (proxy, got):
        proxy.swallows = asks_kafka(OFFSET_COMMIT)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(_request(OFFSET_COMMIT, 1) + _request(1, 2))
        assert await _answer(reader) == 2
        assert got == [_request(1, 2)]
        writer.close()


async def test_reads_a_packed_call() -> None:
    """The text of a call is found in a frame of HTTP/2, though gRPC packs it; its answer has the same stream."""
    message = gzip.compress(b"signin/abc/1")
    data = b"\x01" + struct.pack(">i", len(message)) + message
    frame = struct.pack(">i", len(data))[1:] + b"\x00\x01" + struct.pack(">i", 5) + data
    reader = asyncio.StreamReader()
    reader.feed_data(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame)
    reader.feed_eof()

    assert (await http2_frame(reader)).startswith(b"PRI")

    read = await http2_frame(reader)

    assert read == frame and await http2_frame(reader) == b""
    assert calls_temporal(b"signin/abc/1")(read) and not calls_temporal(b"signin/xyz/1")(read)

    headers = b"\x00\x00\x00\x01\x05" + struct.pack(">i", 5)

    assert answers_temporal(read, headers)
    assert not answers_temporal(read, headers[:-1] + b"\x07")


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(-1)
    except ConnectionResetError:
        return b""
