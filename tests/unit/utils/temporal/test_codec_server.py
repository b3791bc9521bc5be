"""What the codec server returns, and to whom."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads

from utils.temporal.codec_server import MAX_BODY_BYTES, codec_app
from utils.temporal.payload_codec import EncryptionCodec

TOKEN = "t" * 32
UI = "https://temporal.example.com"
CODEC = EncryptionCodec({"new": b"n" * 32, "old": b"o" * 32})
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'{"email": "ada@example.com"}')


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Yield an HTTP client that has the token."""
    transport = httpx.ASGITransport(codec_app(CODEC, TOKEN, [UI]))
    headers = {"authorization": f"Bearer {TOKEN}", "x-namespace": "default"}
    async with httpx.AsyncClient(transport=transport, base_url="http://codec", headers=headers) as client:
        yield client


async def sealed(codec: EncryptionCodec = CODEC) -> Payload:
    """Return the payload as Temporal stores it."""
    (payload,) = await codec.encode([CLEAR])
    return payload


def body(*payloads: Payload) -> str:
    """Return the body of a request."""
    return json_format.MessageToJson(Payloads(payloads=payloads))


def shown(response: httpx.Response) -> list[Payload]:
    """Return the payloads of a response."""
    return list(json_format.Parse(response.text, Payloads()).payloads)


async def test_payloads_are_decrypted_in_order(client: httpx.AsyncClient) -> None:
    """Any key of the ring decrypts. Unencrypted and undecryptable payloads are returned unchanged."""
    old = EncryptionCodec({"old": b"o" * 32})
    foreign = EncryptionCodec({"gone": b"g" * 32})
    changed = await sealed()
    changed.data += b"x"
    lost = await sealed(foreign)

    response = await client.post("/decode", content=body(await sealed(), await sealed(old), CLEAR, lost, changed))
    assert response.status_code == 200
    assert shown(response) == [CLEAR, CLEAR, CLEAR, lost, changed]


async def test_a_request_without_payloads_is_answered(client: httpx.AsyncClient) -> None:
    """Temporal's UI sometimes sends a request without payloads."""
    response = await client.post("/decode", content="{}")
    assert (response.status_code, response.json()) == (200, {})


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[1:]}", f"bearer{TOKEN}", "Bearer ü"]
)
async def test_a_caller_without_the_token_is_refused(
    client: httpx.AsyncClient, authorization: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller without the right token gets nothing, and is in the audit trail without what it sent."""
    with caplog.at_level(logging.INFO, logger="audit"):
        response = await client.post(
            "/decode", content=body(await sealed()), headers={b"authorization": authorization.encode()}
        )

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "ada" not in response.text

    [line] = caplog.records

    assert line.getMessage() == "authz_fail"
    assert TOKEN[1:] not in json.dumps(vars(line), default=str)


async def test_each_read_is_in_the_audit_trail(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """The audit trail records caller, namespace and number of payloads, never their content."""
    with caplog.at_level(logging.INFO, logger="audit"):
        await client.post("/decode", content=body(await sealed(), await sealed(EncryptionCodec({"x": bytes(32)}))))
        await client.post("/decode", content=body(CLEAR), headers={"x-namespace": "a\nforged line"})

    first, second = (vars(line) for line in caplog.records)

    assert (first["msg"], first["namespace"], first["payloads"], first["not_opened"]) == (
        "sensitive_read",
        "default",
        2,
        1,
    )
    assert second["namespace"] is None
    assert "ada" not in json.dumps([first, second], default=str)


@pytest.mark.parametrize("content", [b"", b"{", b"7", b'{"payloads": 7}', b'{"more": []}', b"\xff"])
async def test_a_malformed_request_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    """A body that is not a list of payloads is refused with the form that it should have."""
    response = await client.post("/decode", content=content)
    assert (response.status_code, response.json()) == (400, {"error": 'not of the form {"payloads": [...]}'})


async def test_a_body_that_is_too_large_is_refused_before_its_end(client: httpx.AsyncClient) -> None:
    """Reading stops as soon as the body is too large."""
    pieces = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pieces
        while pieces < 100:
            pieces += 1
            yield b"x" * (MAX_BODY_BYTES // 4)

    response = await client.post("/decode", content=endless())

    assert response.status_code == 413


@pytest.mark.parametrize("place", ["/encode", "/", "/metrics"])
async def test_there_is_no_other_endpoint(client: httpx.AsyncClient, place: str) -> None:
    """The server does not encode: payloads from outside would pass for the worker's own."""
    assert (await client.post(place, content=body(CLEAR))).status_code == 404
    assert (await client.get("/decode")).status_code == 405


async def _preflight(client: httpx.AsyncClient, origin: str) -> Any:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-namespace",
    }
    return await client.options("/decode", headers=headers)


async def test_pages_of_the_ui_may_call(client: httpx.AsyncClient) -> None:
    """The UI's origin is allowed in the preflight, which has no token, and in the request itself."""
    before = await _preflight(client, UI)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == UI
    assert "x-namespace" in before.headers["access-control-allow-headers"]
    response = await client.post("/decode", content=body(CLEAR), headers={"origin": UI})
    assert (response.headers["access-control-allow-origin"], response.headers["vary"]) == (UI, "Origin")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", f"{UI}.evil.example", "http://temporal.example.com", "null"]
)
async def test_other_pages_may_not_call(client: httpx.AsyncClient, origin: str) -> None:
    """A browser does not let pages of other origins read a response."""
    assert (await _preflight(client, origin)).status_code == 400
    response = await client.post("/decode", content=body(CLEAR), headers={"origin": origin})
    assert "access-control-allow-origin" not in response.headers
