"""A proxy between the worker and a server: it can hold, delay and cut, and spring a trap at a chosen call."""

import asyncio
import contextlib
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from deploy.local.places import LOOPBACK

Reader = Callable[[asyncio.StreamReader], Awaitable[bytes]]
"""Reads the next piece that is looked at as a whole; empty at the end."""

PRODUCE: Final = 0
FETCH: Final = 1
OFFSET_COMMIT: Final = 8
JOIN_GROUP: Final = 11

_REST_OF_PREFACE = 15
_DATA = b"\x00"
_HEADERS = b"\x01"
_GZIPPED = b"\x01"
_AHEAD = 64  # pieces on their way in one direction


class Trap:
    """Springs once, at the first piece that ``wants`` it, and then nothing passes until the proxy is opened.

    With ``at_answer`` the piece itself passes, and what the server answers to it (as told by it) springs the trap.
    """

    def __init__(self, wants: Callable[[bytes], bool], at_answer: Callable[[bytes, bytes], bool] | None = None) -> None:
        self.sprung = asyncio.Event()
        self._wants = wants
        self._at_answer = at_answer
        self._asked: tuple[object, bytes] | None = None

    @property
    def asked(self) -> bytes:
        """The piece that was waited for."""
        assert self._asked is not None, "it has not come yet"
        return self._asked[1]

    def at_request(self, link: object, piece: bytes) -> bool:
        """Look at what the client sends on a connection; return whether to stop it."""
        if self._asked is not None or not self._wants(piece):
            return False
        self._asked = link, piece
        return self._at_answer is None

    def at_response(self, link: object, piece: bytes) -> bool:
        """Look at what the server sends on a connection; return whether to stop it."""
        if self._asked is None or self._at_answer is None or self._asked[0] is not link:
            return False
        return self._at_answer(self._asked[1], piece)


class Proxy:
    """Listens on ``port`` between ``start`` and ``stop``; everything passes until it is told otherwise."""

    def __init__(self, read: Reader) -> None:
        self.port = 0
        self.delay_s = 0.0
        self.swallows: Callable[[bytes], bool] = nothing
        self._read = read
        self._target = ""
        self._open = asyncio.Event()
        self._open.set()
        self._trap: Trap | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Open the port."""
        self._server = await asyncio.start_server(self._connected, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def lead_to(self, address: str) -> None:
        """Connect every new connection with the server at ``address``."""
        self._target = address

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is not None:
            self._server.close()
        await self.cut()

    def hold(self) -> None:
        """Let nothing pass in either direction; connections stay."""
        self._open.clear()

    def open(self) -> None:
        """Let everything pass again, what was held too."""
        self._trap = None
        self._open.set()

    async def cut(self) -> None:
        """Close all connections; what was held in them is lost. New ones are taken."""
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def set_trap(self, trap: Trap) -> Trap:
        """Set a trap; return it."""
        self._trap = trap
        return trap

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()

        assert link is not None

        self._links.add(link)

        try:
            await self._link(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # one end hung up, or we cut
        finally:
            self._links.discard(link)
            writer.transport.abort()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target.rpartition(":")
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
        try:
            async with asyncio.TaskGroup() as both:
                upward = both.create_task(self._pass(reader, server_writer, partial(self._asked, reader)))
                down = both.create_task(self._pass(server_reader, writer, partial(self._answered, reader)))
                await asyncio.wait({upward, down}, return_when=asyncio.FIRST_COMPLETED)
                upward.cancel()
                down.cancel()
        except* OSError:
            pass
        finally:
            server_writer.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[bytes], bool]
    ) -> None:
        loop = asyncio.get_running_loop()
        async with _sending(self._open, writer) as waiting:
            while piece := await self._read(reader):
                if passes(piece):
                    await waiting.put((loop.time() + self.delay_s, piece))

    def _asked(self, link: object, piece: bytes) -> bool:
        if self._trap is not None and self._trap.at_request(link, piece):
            self._spring(self._trap)
        return not self.swallows(piece)

    def _answered(self, link: object, piece: bytes) -> bool:
        if self._trap is not None and self._trap.at_response(link, piece):
            self._spring(self._trap)
        return True

    def _spring(self, trap: Trap) -> None:
        """Stop everything: the piece comes to the queue behind a closed door."""
        self.hold()
        trap.sprung.set()


_Waiting = asyncio.Queue[tuple[float, bytes]]


@contextlib.asynccontextmanager
async def _sending(open_: asyncio.Event, writer: asyncio.StreamWriter) -> AsyncIterator[_Waiting]:
    """Send what is put, each piece when it is due and the proxy open; what is left when the block ends is sent too."""
    waiting: _Waiting = asyncio.Queue(_AHEAD)

    async def send() -> None:
        while True:
            due, piece = await waiting.get()
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            await open_.wait()
            writer.write(piece)
            await writer.drain()
            waiting.task_done()

    task = asyncio.create_task(send())

    try:
        yield waiting
        await waiting.join()
    finally:
        task.cancel()


async def http2_frame(reader: asyncio.StreamReader) -> bytes:
    """Read one frame of HTTP/2, or the connection's preface."""
    try:
        head = await reader.readexactly(9)
        size = _REST_OF_PREFACE if head.startswith(b"PRI") else int.from_bytes(head[:3], "big")
        return head + await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        return b""


async def kafka_frame(reader: asyncio.StreamReader) -> bytes:
    """Read one request or response of Kafka's protocol, with its length in front."""
    try:
        size = await reader.readexactly(4)
        return size + await reader.readexactly(struct.unpack(">i", size)[0])
    except asyncio.IncompleteReadError:
        return b""


def nothing(_piece: bytes) -> bool:
    """Swallow nothing."""
    return False


def asks_kafka(api_key: int, holding: bytes = b"") -> Callable[[bytes], bool]:
    """Return what tells whether a frame is a request of this kind, with these bytes in it."""
    return lambda frame: struct.unpack(">h", frame[4:6])[0] == api_key and holding in frame


def answers_kafka(request: bytes, response: bytes) -> bool:
    """Tell whether a response is the one to a request: both bear the same correlation id."""
    return request[8:12] == response[4:8]


def calls_temporal(holding: bytes) -> Callable[[bytes], bool]:
    """Return what tells whether a frame begins a message of gRPC with these bytes in it, unpacked."""
    return lambda frame: frame[3:4] == _DATA and holding in _message(frame[9:])


def answers_temporal(request: bytes, response: bytes) -> bool:
    """Tell whether a frame is of the answer to a request: headers or data on the same stream."""
    return request[5:9] == response[5:9] and response[3:4] in (_DATA, _HEADERS)


def _message(data: bytes) -> bytes:
    """Return the message whose beginning a frame holds, as far as it does: after a flag for gzip, and a length."""
    flag = data[:1]
    message = data[5:]
    if flag != _GZIPPED:
        return message
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(message)
    except zlib.error:
        return b""  # the middle of a longer one
