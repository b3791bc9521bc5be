"""HTTP for operators and orchestrators: ``/livez``, ``/readyz``, ``/metrics``, and ``RESUME``, a command.

There is no authentication. Whoever reaches the port can close the dead-letter breaker; then
at most as many more dead letters are written as open it again, and each of them can be put
back. So expose the port only inside a cluster. Web pages cannot send the command.
"""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Final

import aiohttp
import uvicorn
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

logger = logging.getLogger(__name__)

GRACEFUL_SHUTDOWN_S: Final = 1
RESUME: Final = "/dead-letters/resume"

# Every browser sends one of these with a POST, and no command-line client does. This stops
# forged requests as well as DNS rebinding.
_BROWSER_HEADERS: Final = frozenset({"origin", "sec-fetch-site"})
_TIMEOUT_S: Final = 5.0
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""Where to reach a server that listens on all addresses."""


class CannotListen(Exception):
    """Raised when the address or the port is not available."""


class InstanceUnavailable(Exception):
    """Raised when no instance answers, or none that could resume. Its text says what was found instead."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signal handlers alone: the composition root has its own."""
        yield


def build_app(
    missing: Callable[[], Sequence[str]],
    metrics: Callable[[], bytes],
    resume: Callable[[], bool] | None = None,
) -> Starlette:
    """Build the endpoints. ``missing`` names what is not ready.

    ``metrics`` returns Prometheus' text format; it may block, so it runs in a thread.
    ``resume`` closes the dead-letter breaker and returns whether it was open; without it,
    there is no such endpoint.
    """

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        absent = list(missing())
        status = 503 if absent else 200
        return JSONResponse({"ready": not absent, "missing": absent}, status_code=status)

    async def show_metrics(_request: Request) -> Response:
        text = await asyncio.to_thread(metrics)
        return Response(text, headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    routes = [
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/metrics", show_metrics),
    ]
    if resume is not None:
        routes.append(Route(RESUME, _resume_endpoint(resume), methods=["POST"]))

    return Starlette(routes=routes)


def _resume_endpoint(
    resume: Callable[[], bool],
) -> Callable[[Request], Awaitable[Response]]:
    # A coroutine although it awaits nothing: it must run in the event loop that the breaker
    # belongs to.
    async def endpoint(request: Request) -> Response:
        if _BROWSER_HEADERS & set(request.headers):
            return JSONResponse({"error": "not for web pages"}, status_code=403)

        was_open = resume()
        peer = request.client.host if request.client else None
        logger.warning(
            "an operator resumes consumption",
            extra={"breaker_was_open": was_open, "peer": peer},
        )
        return JSONResponse({"resumed": was_open})

    return endpoint


def instance_place(host: str, port: int) -> str:
    """Return where to reach the instance that listens there, as it stands in a URL."""
    reachable = _LOOPBACK.get(host, host)
    return f"[{reachable}]:{port}" if ":" in reachable else f"{reachable}:{port}"


async def request_resume(host: str, port: int) -> bool:
    """Close the dead-letter breaker of the instance that listens there; return whether it was open.

    Raises ``InstanceUnavailable``.
    """
    place = instance_place(host, port)

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session,
            session.post(f"http://{place}{RESUME}") as answer,
        ):
            body = await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        raise InstanceUnavailable(f"nobody answers at {place}") from None

    try:
        return bool(json.loads(body)["resumed"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InstanceUnavailable(f"no signin-worker with a consumer answers at {place}") from None


@contextlib.asynccontextmanager
async def serving(app: Starlette, host: str, port: int) -> AsyncIterator[int]:
    """Serve ``app`` in this event loop and yield the port; 0 takes a free one.

    Raises ``CannotListen``.
    """
    with _listener(host, port) as listener:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_S,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]), name="endpoints")

        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def _listener(host: str, port: int) -> socket.socket:
    """Bind here, because uvicorn ends the process if it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError:
        raise CannotListen from None
