"""Puts the application together."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from web_login.kafka import Apply, Kafka
from web_login.pages import Emitter, Pages
from web_login.security import guard
from web_login.settings import Settings
from web_login.sign_ins import SignIns

_STATIC: Final = Path(__file__).with_name("static")


class Connection(Emitter, Protocol):
    """What carries events and results: Kafka, or a stand-in."""

    @property
    def is_reading(self) -> bool:
        """Whether results are read."""
        ...

    async def start(self) -> None:
        """Connect."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...


def create_app(settings: Settings, connect: Callable[[Settings, Apply], Connection] = Kafka) -> Starlette:
    """Return the application. It connects when it starts."""
    sign_ins = SignIns(lifetime_s=settings.lifetime_s, max_codes=settings.max_codes)
    connection = connect(settings, sign_ins.apply)
    pages = Pages(settings, sign_ins, connection)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            await connection.start()
            yield
        finally:
            await connection.stop()

    async def health(request: Request) -> Response:
        return PlainTextResponse("reading", 200) if connection.is_reading else PlainTextResponse("not reading", 503)

    routes = [*pages.routes(), Route("/healthz", health), Mount("/static", StaticFiles(directory=_STATIC))]
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=guard(settings))]

    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan)
