"""What operators and orchestrators ask over HTTP: ``/livez``, ``/readyz``, ``/metrics``, and one thing they may order.

Nobody has to say who he is here. Whoever reaches the port can close the breaker of dead letters (``RESUME``): then as
many dead letters more may be written as open it again, each of which can be put back. So the port is for the inside of
a cluster, and no web page may press that button.
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

RESUME: Final = "/dead-letters/resume"

# Every browser sends one of these with a POST; no command line does. That ends forged requests and rebound names alike.
_BROWSERS_HEADERS: Final = frozenset({"origin", "sec-fetch-site"})
_TIMEOUT_S: Final = 5.0
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class CannotListen(Exception):
    """Raised when the address or the port cannot be had."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the composition root has its own way to stop."""
        yield


class InstanceUnavailable(Exception):
    """Raised when no instance that could do it answers. Its text says what is there instead."""


def build_app(
    missing: Callable[[], Sequence[str]],
    metrics: Callable[[], bytes],
    resume: Callable[[], bool] | None = None,
) -> Starlette:
    """Build the endpoints. ``missing`` names what is not ready.

    ``metrics`` returns Prometheus' text format; it may block, so it runs in a thread. ``resume`` closes the breaker of
    dead letters and returns whether it was open; without it there is no such endpoint.
    """

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        absent = list(missing())
        return JSONResponse({"ready": not absent, "missing": absent}, status_code=503 if absent else 200)

    async def show_metrics(_request: Request) -> Response:
        return Response(await asyncio.to_thread(metrics), headers={"content-type": CONTENT_TYPE_PLAIN_0_0_4})

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", show_metrics)]
    if resume is not None:
        routes.append(Route(RESUME, _resuming(resume), methods=["POST"]))
    return Starlette(routes=routes)


def _resuming(resume: Callable[[], bool]) -> Callable[[Request], Awaitable[Response]]:
    # A coroutine, though it awaits nothing: it must run in the event loop that the breaker belongs to.
    async def resuming(request: Request) -> Response:
        if _BROWSERS_HEADERS & set(request.headers):
            return JSONResponse({"error": "not for web pages"}, status_code=403)
        resumed = resume()
        peer = request.client.host if request.client else None
        logger.warning("an operator resumes consumption", extra={"breaker_was_open": resumed, "peer": peer})
        return JSONResponse({"resumed": resumed})

    return resuming


async def request_resume(host: str, port: int) -> bool:
    """Close the breaker of the instance that listens there; return whether it was open.

    Raises ``InstanceUnavailable``.
    """
    reachable = _EVERYWHERE.get(host, host)
    place = f"[{reachable}]:{port}" if ":" in reachable else f"{reachable}:{port}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session,
            session.post(f"http://{place}{RESUME}") as answer,
        ):
            body = await answer.text()
    except (aiohttp.ClientError, TimeoutError):
        raise InstanceUnavailable(f"nobody answers at {place}") from None
    try:
        return bool(json.loads(body)["resumed"])
    except (ValueError, KeyError, TypeError):
        raise InstanceUnavailable(f"no signin-worker with a consumer answers at {place}") from None


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
