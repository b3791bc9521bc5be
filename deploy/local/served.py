"""An ASGI application, served by the process that owns it."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from deploy.local.places import LOOPBACK


class ServedApp:
    """Listens between ``start`` and ``stop``, on a free port if none is given.

    ``tls`` are the files of a certificate and its key.
    """

    def __init__(self, app: Any, *, port: int = 0, lifespan: bool = False, tls: tuple[str, str] | None = None) -> None:
        self.port = port
        self._config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on" if lifespan else "off",
            timeout_graceful_shutdown=1,
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
        )
        self._server: _QuietServer | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen."""
        listening = socket.create_server((LOOPBACK, self.port))
        self.port = listening.getsockname()[1]

        self._server = _QuietServer(self._config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        await self._server.started_up.wait()

    async def stop(self) -> None:
        """Close the port. May be called again."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
            self._server = None


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves the process's signals alone and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.started_up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the owner of the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then set ``started_up``."""
        await super().startup(sockets)
        self.started_up.set()
