"""The page with a stand-in for Kafka and the worker."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page
from starlette.applications import Starlette

from deploy.local.places import free_ports
from deploy.local.served import ServedApp
from deploy.local.servers.certificates import loopback_certificate
from tests.web.chromium import running_browser
from tests.web.clock import Clock
from tests.web.fake_worker import FakeWorker
from tests.web.person import ORIGIN, Person
from web_login.app import create_app
from web_login.settings import Settings

QUICK: Final = MappingProxyType({"verdict_within_s": 0.2, "secret": "a secret of the tests"})


@pytest.fixture
def worker() -> FakeWorker:
    """Give the stand-in."""
    return FakeWorker()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the page's clock. It runs, and can be put forward."""
    return Clock(monkeypatch)


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Give the page's settings; a test adds its own with ``indirect=True``."""
    return {**QUICK, **getattr(request, "param", {})}


@pytest.fixture
async def app(worker: FakeWorker, settings: dict[str, Any]) -> AsyncIterator[Starlette]:
    """Give the application, started, without a server."""
    app = create_app(Settings(origin=ORIGIN, **settings), worker.connect)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def person(app: Starlette) -> AsyncIterator[Person]:
    """Give a person in front of the application."""
    person = Person(app)
    yield person
    await person.client.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def url(worker: FakeWorker, settings: dict[str, Any], tmp_path: Path) -> AsyncIterator[str]:
    """Serve the page by TLS, as in production, and give its address."""
    loopback_certificate(tmp_path)
    (port,) = free_ports(1)
    origin = f"https://localhost:{port}"
    app = create_app(Settings(origin=origin, **settings), worker.connect)
    files = (str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"))
    served = ServedApp(app, port=port, lifespan=True, tls=files)

    await served.start()
    yield origin
    await served.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Give a browser, one for all tests of a module."""
    async with running_browser() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """Give the browser of one person, who reads English."""
    context = await browser.new_context(ignore_https_errors=True, locale="en-GB")
    context.set_default_timeout(20_000)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext) -> Page:
    """Give a tab."""
    return await context.new_page()
