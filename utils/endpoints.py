"""What operators and orchestrators ask over HTTP: ``/livez``, ``/readyz``, ``/metrics``."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import uvicorn
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


class CannotListen(Exception):
    """Raised when the address or the port cannot be had."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the composition root has its own way to stop."""
        yield


def build_app(missing: Callable[[], Sequence[str]], metrics: Callable[[], bytes]) -> Starlette:
    """Build the three endpoints. ``missing`` names what is not ready.

    ``metrics`` returns Prometheus' text format; it may block, so it runs in a thread.
    """

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        absent = list(missing())
        return JSONResponse({"ready": not absent, "missing": absent}, status_code=503 if absent else 200)

    async def show_metrics(_request: Request) -> Response:
        return Response(await asyncio.to_thread(metrics), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", show_metrics)])


@contextlib.asynccontextmanager
async def serving(app: Starlette, host: str, port: int) -> AsyncIterator[int]:
    """Serve ``app`` in this event loop and yield the port (0 takes a free one). Raises ``CannotListen``."""
    # Bound here since uvicorn ends the process when it cannot.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError:
        raise CannotListen from None
    with listener:
        server = _Server(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        )
        task = asyncio.create_task(server.serve(sockets=[listener]), name="endpoints")
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task
