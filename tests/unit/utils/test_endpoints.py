"""What operators get over HTTP."""

import asyncio
import signal
import socket

import httpx
import pytest

from utils.endpoints import CannotListen, build_app, serving


async def test_ready_when_nothing_is_missing() -> None:
    """/readyz is 200 with nothing missing, and 503 naming what is, as it changes."""
    missing: list[str] = ["Temporal: no worker polls"]
    app = build_app(lambda: missing, lambda: b"")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "missing": ["Temporal: no worker polls"]})
        missing.clear()
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"ready": True, "missing": []})


async def test_served_over_a_socket_until_the_end() -> None:
    """/livez and /metrics answer on the port, which is closed afterwards; signal handlers stay as they are."""
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


async def test_a_taken_port_is_an_error_of_its_own() -> None:
    """The caller decides what a taken port means; the process is not ended from within."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(CannotListen):
            async with serving(build_app(lambda: [], lambda: b""), "127.0.0.1", other.getsockname()[1]):
                pass


async def test_served_over_ipv6() -> None:
    """A host with colons is an IPv6 address."""
    async with serving(build_app(lambda: [], lambda: b""), "::1", 0) as port:
        async with httpx.AsyncClient(base_url=f"http://[::1]:{port}", trust_env=False) as client:
            assert (await client.get("/livez")).text == "ok\n"
