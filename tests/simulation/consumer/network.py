"""Connections between clients and brokers: they take time, and can be cut, slowed and silenced."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tests.simulation.consumer.event_loop import SimulatedLoop
from tests.simulation.consumer.processes import Process, current_process
from tests.simulation.story import Story

_SIZE_BYTES: Final = 4
_SPLIT_SHARE: Final = 0.05
_NO_ANSWER_S: Final = 127.0
"""When Linux gives up to connect."""


class Server(Protocol):
    """A broker, as the network sees it."""

    @property
    def is_up(self) -> bool:
        """Whether it takes connections."""
        ...

    @property
    def name(self) -> str:
        """Its host."""
        ...

    def receive(self, link: "Link", frame: bytes) -> None:
        """Take one request."""
        ...


@dataclass
class Weather:
    """How the network is. ``refuses``: new connections are refused; ``swallows``: they get no answer at all."""

    latency_s: float = 0.001
    jitter_s: float = 0.002
    slow_share: float = 0.0
    slow_s: float = 0.0

    def delay_s(self, rng: random.Random) -> float:
        """Return how long a message takes."""
        delay = self.latency_s + rng.random() * self.jitter_s
        if self.slow_share and rng.random() < self.slow_share:
            delay += rng.random() * self.slow_s

        return delay


class Link(asyncio.Transport):
    """One connection, seen by the client as its transport. Messages of each direction keep their order."""

    def __init__(self, network: "Network", server: Server, protocol: Any, number: int) -> None:
        super().__init__()
        self.name = f"{server.name}#{number}"
        self.server_name = server.name
        self.process: Process | None = current_process()
        self.is_cut = False
        self.is_silent = False
        self._network = network
        self._loop = network.loop
        self._server = server
        self._protocol = protocol
        self._context: Context = copy_context()
        self._received = b""
        self._requests: deque[bytes] = deque()
        self._under_way: deque[bytes] = deque()
        self._answers: deque[bytes] = deque()
        self._is_busy = False
        self._reads = True

    def write(self, data: Any) -> None:
        """Send bytes to the broker."""
        if self.is_cut or self.is_silent:
            return

        self._received += bytes(data)
        for frame in self._frames():
            self._under_way.append(frame)
            self._network.later(self._arrive)

    def is_closing(self) -> bool:
        """Whether it is closed or cut."""
        return self.is_cut

    def close(self) -> None:
        """Close it from the client's side. Requests that have arrived are still answered by the broker, to nobody."""
        self._lose(None)

    def abort(self) -> None:
        """Close it from the client's side."""
        self._lose(None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is none."""
        return default

    def pause_reading(self) -> None:
        """Hold answers back."""
        self._reads = False

    def resume_reading(self) -> None:
        """Hand out what was held back."""
        self._reads = True
        for _ in range(len(self._answers)):
            self._loop.call_soon(self._deliver, context=self._context)

    def cut(self) -> None:
        """Break it: what is under way in either direction is lost, what has arrived is still carried out."""
        if not self.is_cut:
            self._network.story.add("connection cut", self.name)
            self._lose(ConnectionResetError("cut"))

    def silence(self) -> None:
        """Let nothing through any more, in either direction, without an error."""
        self.is_silent = True
        self._network.story.add("connection silenced", self.name)

    def answer(self, frame: bytes) -> None:
        """Send an answer to the client, and take the next request."""
        if not self.is_cut and not self.is_silent:
            self._answers.append(frame)
            self._network.later(self._deliver, self._context)

        self._is_busy = False
        self._serve_next()

    def _frames(self) -> Iterator[bytes]:
        while len(self._received) >= _SIZE_BYTES:
            end = _SIZE_BYTES + int.from_bytes(self._received[:_SIZE_BYTES], "big")
            if len(self._received) < end:
                return
            yield self._received[_SIZE_BYTES:end]
            self._received = self._received[end:]

    def _arrive(self) -> None:
        if self._under_way and not self.is_cut and not self.is_silent:
            self._requests.append(self._under_way.popleft())
            self._serve_next()

    def _serve_next(self) -> None:
        """Let the broker work on one request of a connection at a time, as Kafka does."""
        if self._requests and not self._is_busy and self._server.is_up:
            self._is_busy = True
            self._server.receive(self, self._requests.popleft())

    def _deliver(self) -> None:
        if not self._answers or not self._reads or self.is_cut or self.is_silent:
            return

        frame = self._answers.popleft()
        if self._network.rng.random() < _SPLIT_SHARE:
            self._network.story.add("answer in two pieces", self.name)
            middle = self._network.rng.randrange(1, len(frame))
            self._protocol.data_received(frame[:middle])
            frame = frame[middle:]
        self._protocol.data_received(frame)

    def _lose(self, error: Exception | None) -> None:
        if not self.is_cut:
            self.is_cut = True
            self._network.links.remove(self)
            self._loop.call_soon(self._protocol.connection_lost, error, context=self._context)


class Network:
    """All connections."""

    def __init__(self, loop: SimulatedLoop, rng: random.Random, story: Story) -> None:
        self.loop = loop
        self.rng = rng
        self.story = story
        self.weather = Weather()
        self.links: list[Link] = []
        self._blocked: set[tuple[str, str]] = set()
        self._servers: dict[tuple[str, int], Server] = {}
        self._context = copy_context()
        self._opened = 0
        loop.connect = self.connect

    def serve(self, host: str, port: int, server: Server) -> None:
        """Let a broker listen."""
        self._servers[host, port] = server

    def later(self, callback: Callable[[], None], context: Context | None = None) -> None:
        """Call back when a message that is sent now has arrived. By default it belongs to no process."""
        delay = self.weather.delay_s(self.rng)
        self.loop.call_later(delay, callback, context=context or self._context)

    async def connect(self, protocol: asyncio.BaseProtocol, host: str, port: int) -> asyncio.Transport:
        """Connect to a broker. Raises ``ConnectionRefusedError`` if it is down."""
        await asyncio.sleep(2 * self.weather.delay_s(self.rng))
        server = self._servers[host, port]
        process = current_process()
        if process is not None and (process.name, server.name) in self._blocked:
            await asyncio.sleep(_NO_ANSWER_S)
            raise TimeoutError(host, port)
        if not server.is_up:
            self.story.add("connection refused", server.name)
            raise ConnectionRefusedError(host, port)

        self._opened += 1
        link = Link(self, server, protocol, self._opened)
        self.links.append(link)
        protocol.connection_made(link)

        return link

    def block(self, process: str, server: str) -> None:
        """Let nothing through between a process and a broker."""
        self.story.add("worker isolated", f"{process} from {server}")
        self._blocked.add((process, server))
        for link in self.links:
            if link.process is not None and (link.process.name, link.server_name) == (process, server):
                link.silence()

    def unblock(self, process: str, server: str) -> None:
        """Let connections through again. Those that were open before stay silent."""
        self._blocked.discard((process, server))

    def unblock_all(self) -> None:
        """Let everything through, and cut what is silent."""
        self._blocked.clear()
        self.cut_all(lambda link: link.is_silent)

    def cut_all(self, of: Callable[[Link], bool]) -> None:
        """Cut the connections that ``of`` chooses."""
        for link in [each for each in self.links if of(each)]:
            link.cut()

    def links_to_name(self, name: str) -> Callable[[Link], bool]:
        """Choose the connections to a broker."""
        return lambda link: link.server_name == name
