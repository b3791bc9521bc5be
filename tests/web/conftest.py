"""The page with a stand-in for Kafka and the worker."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from deploy.local.places import free_ports
from deploy.local.served import ServedApp
from deploy.local.servers.certificates import loopback_certificate
from tests.web.chromium import running_browser
from tests.web.fake_worker import FakeWorker
from web_login.app import create_app
from web_login.settings import Settings

QUICK: Final = MappingProxyType({"verdict_within_s": 0.2, "secret": "a secret of the tests"})
NewContext = Callable[..., Any]


@pytest.fixture
def worker() -> FakeWorker:
    """Give the stand-in."""
    return FakeWorker()


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Give the page's settings; a test adds its own with ``indirect=True``."""
    return {**QUICK, **getattr(request, "param", {})}


@pytest.fixture
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


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Give a browser."""
    async with running_browser() as browser:
        yield browser


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """Give the browser of one person, who reads English."""
    context = await browser.new_context(ignore_https_errors=True, locale="en-GB")
    context.set_default_timeout(20_000)
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    """Give a tab. What it writes to the console, such as a breach of the content security policy, fails the test."""
    return await context.new_page()
