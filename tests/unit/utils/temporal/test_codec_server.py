"""The codec server: who gets what, and what nobody gets."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads

from utils.temporal.codec_server import LARGEST_BODY, codec_app
from utils.temporal.payload_codec import EncryptionCodec

TOKEN = "t" * 32
UI = "https://temporal.example.com"
CODEC = EncryptionCodec({"new": b"n" * 32, "old": b"o" * 32})
CLEAR = Payload(metadata={"encoding": b"json/plain"}, data=b'{"email": "ada@example.com"}')


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Give a client that has the token."""
    transport = httpx.ASGITransport(codec_app(CODEC, TOKEN, [UI]))
    headers = {"authorization": f"Bearer {TOKEN}", "x-namespace": "default"}
    async with httpx.AsyncClient(transport=transport, base_url="http://codec", headers=headers) as client:
        yield client


async def sealed(codec: EncryptionCodec = CODEC) -> Payload:
    """Return the payload as Temporal has it."""
    (payload,) = await codec.encode([CLEAR])
    return payload


def body(*payloads: Payload) -> str:
    """Return a request's body."""
    return json_format.MessageToJson(Payloads(payloads=payloads))


def shown(answer: httpx.Response) -> list[Payload]:
    """Return the payloads of an answer."""
    return list(json_format.Parse(answer.text, Payloads()).payloads)


async def test_payloads_are_opened_in_their_order(client: httpx.AsyncClient) -> None:
    """By any key of the ring; what is in clear stays; what does not open stays sealed and hides no other."""
    old, foreign = EncryptionCodec({"old": b"o" * 32}), EncryptionCodec({"gone": b"g" * 32})
    changed = await sealed()
    changed.data += b"x"
    lost = await sealed(foreign)
    answer = await client.post("/decode", content=body(await sealed(), await sealed(old), CLEAR, lost, changed))
    assert answer.status_code == 200
    assert shown(answer) == [CLEAR, CLEAR, CLEAR, lost, changed]


async def test_without_payloads_there_is_nothing_to_show(client: httpx.AsyncClient) -> None:
    """Temporal's UI asks so, now and then."""
    answer = await client.post("/decode", content="{}")
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize(
    "said", ["", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[1:]}", f"bearer{TOKEN}", "Bearer ü"]
)
async def test_who_has_no_token_gets_nothing(
    client: httpx.AsyncClient, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And is in the audit trail, without what he said."""
    with caplog.at_level(logging.INFO, logger="audit"):
        answer = await client.post("/decode", content=body(await sealed()), headers={b"authorization": said.encode()})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "ada" not in answer.text

    [line] = caplog.records

    assert line.getMessage() == "authz_fail"
    assert TOKEN[1:] not in json.dumps(vars(line), default=str)


async def test_each_reading_is_in_the_audit_trail(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """Who, of which namespace, how many; never what."""
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
async def test_what_is_no_request_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    """With the form that it should have."""
    answer = await client.post("/decode", content=content)
    assert (answer.status_code, answer.json()) == (400, {"error": 'not of the form {"payloads": [...]}'})


async def test_what_is_too_large_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    """The body is given up as soon as it is."""
    pieces = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pieces
        while pieces < 100:
            pieces += 1
            yield b"x" * (LARGEST_BODY // 4)

    answer = await client.post("/decode", content=endless())

    assert answer.status_code == 413


@pytest.mark.parametrize("place", ["/encode", "/", "/metrics"])
async def test_there_is_nothing_else(client: httpx.AsyncClient, place: str) -> None:
    """Nobody has payloads sealed here: they would pass for the worker's own."""
    assert (await client.post(place, content=body(CLEAR))).status_code == 404
    assert (await client.get("/decode")).status_code == 405


async def _preflight(client: httpx.AsyncClient, origin: str) -> Any:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-namespace",
    }
    return await client.options("/decode", headers=asked)


async def test_the_pages_of_the_ui_may_ask(client: httpx.AsyncClient) -> None:
    """Before they do, without the token, and in earnest."""
    before = await _preflight(client, UI)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == UI
    assert "x-namespace" in before.headers["access-control-allow-headers"]
    answer = await client.post("/decode", content=body(CLEAR), headers={"origin": UI})
    assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == (UI, "Origin")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", f"{UI}.evil.example", "http://temporal.example.com", "null"]
)
async def test_no_other_page_may(client: httpx.AsyncClient, origin: str) -> None:
    """A browser shows it nothing."""
    assert (await _preflight(client, origin)).status_code == 400
    answer = await client.post("/decode", content=body(CLEAR), headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers
