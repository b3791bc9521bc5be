"""A proxy between the worker and a server. It can hold, delay, drop or cut traffic, or stop it at a chosen call."""

import asyncio
import contextlib
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from deploy.local.places import LOOPBACK

Reader = Callable[[asyncio.StreamReader], Awaitable[bytes]]
"""Reads the next frame. Returns no bytes at the end of the stream."""

PRODUCE: Final = 0
FETCH: Final = 1
OFFSET_COMMIT: Final = 8
JOIN_GROUP: Final = 11

_REST_OF_PREFACE = 15
_DATA = b"\x00"
_HEADERS = b"\x01"
_GZIPPED = b"\x01"
_MAX_QUEUED = 64  # frames in transit, in each direction


class Trap:
    """Triggers once, at the first request that ``matches``; then nothing passes until the proxy is opened.

    With ``is_response``, the request itself passes, and the server's response to it triggers the trap.
    """

    def __init__(
        self,
        matches: Callable[[bytes], bool],
        is_response: Callable[[bytes, bytes], bool] | None = None,
    ) -> None:
        self.triggered = asyncio.Event()
        self._matches = matches
        self._is_response = is_response
        self._matched: tuple[object, bytes] | None = None

    @property
    def request(self) -> bytes:
        """The request that matched."""
        assert self._matched is not None, "no request has matched yet"
        return self._matched[1]

    def stops_request(self, connection: object, frame: bytes) -> bool:
        """Inspect a frame from the client; return whether to stop it."""
        if self._matched is not None or not self._matches(frame):
            return False

        self._matched = (connection, frame)
        return self._is_response is None

    def stops_response(self, connection: object, frame: bytes) -> bool:
        """Inspect a frame from the server; return whether to stop it."""
        if self._matched is None or self._is_response is None or self._matched[0] is not connection:
            return False
        return self._is_response(self._matched[1], frame)


class Proxy:
    """Listens on ``port`` between ``listen`` and ``stop``. By default everything passes."""

    def __init__(self, read: Reader) -> None:
        self.port = 0
        self.delay_s = 0.0
        self.drops: Callable[[bytes], bool] = drop_nothing

        self._read = read
        self._target = ""
        self._open = asyncio.Event()
        self._open.set()
        self._trap: Trap | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Open the port."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def forward_to(self, address: str) -> None:
        """Forward every new connection to the server at ``address``."""
        self._target = address

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is not None:
            self._server.close()
        await self.cut()

    def hold(self) -> None:
        """Let nothing pass in either direction, but keep connections open."""
        self._open.clear()

    def open(self) -> None:
        """Let everything pass again, including what was held."""
        self._trap = None
        self._open.set()

    async def cut(self) -> None:
        """Close all connections, which loses what they held. New connections are accepted."""
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def set_trap(self, trap: Trap) -> Trap:
        """Set a trap; return it."""
        self._trap = trap
        return trap

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None

        self._connections.add(connection)
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one end hung up, or we cut the connection
        finally:
            self._connections.discard(connection)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target.rpartition(":")
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
        forwards_request = partial(self._forwards_request, reader)
        forwards_response = partial(self._forwards_response, reader)

        try:
            async with asyncio.TaskGroup() as directions:
                requests = directions.create_task(self._copy(reader, server_writer, forwards_request))
                responses = directions.create_task(self._copy(server_reader, writer, forwards_response))
                await asyncio.wait({requests, responses}, return_when=asyncio.FIRST_COMPLETED)
                requests.cancel()
                responses.cancel()
        except* OSError:
            pass
        finally:
            server_writer.transport.abort()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        forwards: Callable[[bytes], bool],
    ) -> None:
        loop = asyncio.get_running_loop()
        async with _sender(self._open, writer) as queue:
            while frame := await self._read(reader):
                if forwards(frame):
                    await queue.put((loop.time() + self.delay_s, frame))

    def _forwards_request(self, connection: object, frame: bytes) -> bool:
        if self._trap is not None and self._trap.stops_request(connection, frame):
            self._trigger(self._trap)
        return not self.drops(frame)

    def _forwards_response(self, connection: object, frame: bytes) -> bool:
        if self._trap is not None and self._trap.stops_response(connection, frame):
            self._trigger(self._trap)
        return True

    def _trigger(self, trap: Trap) -> None:
        """Hold everything. The frame that triggered the trap is queued, but not sent."""
        self.hold()
        trap.triggered.set()


_Queue = asyncio.Queue[tuple[float, bytes]]


@contextlib.asynccontextmanager
async def _sender(is_open: asyncio.Event, writer: asyncio.StreamWriter) -> AsyncIterator[_Queue]:
    """Send each queued frame once it is due and the proxy is open. At the end of the block, send what is left."""
    queue: _Queue = asyncio.Queue(_MAX_QUEUED)

    async def send() -> None:
        while True:
            due, frame = await queue.get()
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            await is_open.wait()

            writer.write(frame)
            await writer.drain()
            queue.task_done()

    task = asyncio.create_task(send())
    try:
        yield queue
        await queue.join()
    finally:
        task.cancel()


async def http2_frame(reader: asyncio.StreamReader) -> bytes:
    """Read one HTTP/2 frame, or the connection preface."""
    try:
        head = await reader.readexactly(9)
        size = _REST_OF_PREFACE if head.startswith(b"PRI") else int.from_bytes(head[:3], "big")
        return head + await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        return b""


async def kafka_frame(reader: asyncio.StreamReader) -> bytes:
    """Read one Kafka request or response, including its length prefix."""
    try:
        size = await reader.readexactly(4)
        return size + await reader.readexactly(struct.unpack(">i", size)[0])
    except asyncio.IncompleteReadError:
        return b""


def drop_nothing(_frame: bytes) -> bool:
    """Drop no frame."""
    return False


def kafka_request(api_key: int, containing: bytes = b"") -> Callable[[bytes], bool]:
    """Return a predicate for frames that are requests with this API key and contain these bytes."""
    return lambda frame: struct.unpack(">h", frame[4:6])[0] == api_key and containing in frame


def is_kafka_response(request: bytes, response: bytes) -> bool:
    """Tell whether a response belongs to a request: both carry the same correlation id."""
    return request[8:12] == response[4:8]


def temporal_call(containing: bytes) -> Callable[[bytes], bool]:
    """Return a predicate for frames that start a gRPC message which, decompressed, contains these bytes."""
    return lambda frame: frame[3:4] == _DATA and containing in _message(frame[9:])


def is_temporal_response(request: bytes, response: bytes) -> bool:
    """Tell whether a frame belongs to the response to a request: headers or data on the same stream."""
    return request[5:9] == response[5:9] and response[3:4] in (_DATA, _HEADERS)


def _message(data: bytes) -> bytes:
    """Return the message that starts in a frame, as far as the frame goes. A gzip flag and a length precede it."""
    flag = data[:1]
    message = data[5:]
    if flag != _GZIPPED:
        return message

    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(message)
    except zlib.error:
        return b""  # the middle of a longer message
