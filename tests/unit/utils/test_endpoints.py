"""The HTTP endpoints for operators and orchestrators."""

import asyncio
import signal
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from utils.endpoints import RESUME, CannotListen, InstanceUnavailable, request_resume, build_app, serving


async def test_the_worker_is_ready_when_nothing_is_missing() -> None:
    """/readyz answers 503 with what is missing, and 200 once nothing is."""
    missing: list[str] = ["Temporal: no worker polls"]
    app = build_app(lambda: missing, lambda: b"")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "missing": ["Temporal: no worker polls"]})

        missing.clear()
        answer = await client.get("/readyz")

        assert (answer.status_code, answer.json()) == (200, {"ready": True, "missing": []})


async def test_the_endpoints_are_served_until_the_block_ends() -> None:
    """/livez and /metrics answer on the port, which is closed afterwards. Signal handlers are left alone."""
    before = signal.getsignal(signal.SIGTERM)
    async with serving(build_app(lambda: [], lambda: b"signin_x 1\n"), "127.0.0.1", 0) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert (await client.get("/livez")).status_code == 200

            metrics = await client.get("/metrics")

            assert metrics.text == "signin_x 1\n"
            assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert signal.getsignal(signal.SIGTERM) is before

    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_taken_port_raises_an_error() -> None:
    """A taken port raises ``CannotListen`` instead of ending the process."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(CannotListen):
            async with serving(build_app(lambda: [], lambda: b""), "127.0.0.1", other.getsockname()[1]):
                pass


async def test_the_endpoints_are_served_over_ipv6() -> None:
    """A host with colons is taken as an IPv6 address."""
    async with serving(build_app(lambda: [], lambda: b""), "::1", 0) as port:
        async with httpx.AsyncClient(base_url=f"http://[::1]:{port}", trust_env=False) as client:
            assert (await client.get("/livez")).text == "ok\n"


class Breaker:
    """Open until it is resumed."""

    def __init__(self) -> None:
        self.is_open = True

    def resume(self) -> bool:
        """Close it."""
        was_open = self.is_open
        self.is_open = False
        return was_open


@pytest.mark.parametrize(("host", "asked"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::1", "::")])
async def test_consumption_is_resumed_over_http(host: str, asked: str, caplog: pytest.LogCaptureFixture) -> None:
    """The caller learns whether the breaker was open, and the log names the caller."""
    breaker = Breaker()
    async with serving(build_app(lambda: [], lambda: b"", breaker.resume), host, 0) as port:
        assert await request_resume(asked, port) is True
        assert not breaker.is_open
        assert await request_resume(asked, port) is False

    assert [record.__dict__["breaker_was_open"] for record in caplog.records] == [True, False]
    assert all(record.__dict__["peer"] in ("127.0.0.1", "::1") for record in caplog.records)


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://127.0.0.1:8080"}, {"Origin": "null"}, {"Sec-Fetch-Site": "none"}]
)
async def test_a_web_page_cannot_resume_consumption(headers: dict[str, str]) -> None:
    """A POST with a header that only browsers send is refused, whatever page or host name it comes from."""
    breaker = Breaker()
    app = build_app(lambda: [], lambda: b"", breaker.resume)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as client:
        assert (await client.post(RESUME, headers=headers)).status_code == 403
        assert (await client.get(RESUME)).status_code == 405
        assert breaker.is_open
        assert (await client.post(RESUME)).json() == {"resumed": True}


async def test_a_process_without_a_consumer_cannot_be_resumed() -> None:
    """A process without a consumer has no such endpoint, and the caller gets an error that says so."""
    async with serving(build_app(lambda: [], lambda: b""), "127.0.0.1", 0) as port:
        with pytest.raises(InstanceUnavailable, match="no signin-worker with a consumer answers at 127.0.0.1:"):
            await request_resume("127.0.0.1", port)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"\xff\xfe\xfa", b"[" * 100_000, b"", b'{"resumed": ' + b"9" * 5000]
)
async def test_another_server_cannot_be_resumed(body: bytes) -> None:
    """Whatever it answers, the error says that it is no signin-worker."""

    async def answer(_request: Request) -> Response:
        return Response(body)

    app = Starlette(routes=[Route(RESUME, answer, methods=["POST"])])
    async with serving(app, "127.0.0.1", 0) as port:
        with pytest.raises(InstanceUnavailable, match="no signin-worker with a consumer answers at 127.0.0.1:"):
            await request_resume("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "no such host"])
async def test_an_unreachable_instance_is_an_error(host: str) -> None:
    """A port on which nobody listens, and a host that does not exist, raise ``InstanceUnavailable``."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(InstanceUnavailable, match="nobody answers at"):
        await request_resume(host, port)
