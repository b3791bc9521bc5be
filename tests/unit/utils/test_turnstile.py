"""Siteverify over HTTP."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from activities.errors import ChallengeUnavailable
from deploy.local.servers.siteverify import SECRET, Answer, SiteverifyServer, passing_token
from utils.turnstile import SiteverifyClient

KEY = "0a6e3d5e-6f0e-4c39-9a53-6a5f1c2f9d10"


@pytest.fixture
async def client(siteverify: SiteverifyServer) -> AsyncIterator[SiteverifyClient]:
    """Give a client of the local server."""
    client = SiteverifyClient(siteverify.url, SECRET, timeout_s=2)
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("ip", "sent"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("unknown", None),
        ("fe80::1%x", None),
        (None, None),
    ],
)
async def test_the_form_is_as_documented(
    client: SiteverifyClient, siteverify: SiteverifyServer, ip: str | None, sent: str | None
) -> None:
    """Secret, token, idempotency key, and the client's address if it is one."""
    await client.siteverify(token="some token", ip=ip, idempotency_key=KEY)
    form = {"secret": SECRET, "response": "some token", "idempotency_key": KEY}
    assert siteverify.calls == [form if sent is None else form | {"remoteip": sent}]


async def test_a_good_token_is_answered_in_full(client: SiteverifyClient) -> None:
    """All that the activity checks is there."""
    answer = await client.siteverify(token=passing_token("A" * 22), ip=None, idempotency_key=KEY)
    assert answer.success
    assert (answer.hostname, answer.action, answer.cdata) == ("signin.example", "signin", "A" * 22)
    assert answer.challenge_ts is not None
    assert answer.challenge_ts.tzinfo is not None


@pytest.mark.parametrize(
    "scripted",
    [
        Answer(status=500),
        Answer(status=503, body="busy"),
        Answer(status=302),
        Answer(body="<html>"),
        Answer(body="[]"),
        Answer(body="{}"),
        Answer(body=b"\xff".decode("latin-1")),
        Answer(body="[" * 100_000),
        Answer(body='{"success": "true"}'),
        Answer(body='{"success": true, "challenge_ts": "yesterday"}'),
        Answer(body='{"success": true, "error-codes": 7}'),
        Answer(status=429, body="slow down"),
    ],
)
async def test_anything_but_the_documented_shape_is_no_answer(
    client: SiteverifyClient, siteverify: SiteverifyServer, scripted: Answer
) -> None:
    """A 200 without valid JSON counts like a 5xx, and so does a lie."""
    siteverify.script_any(scripted)
    with pytest.raises(ChallengeUnavailable):
        await client.siteverify(token="token", ip=None, idempotency_key=KEY)


async def test_a_refusal_with_status_400_is_an_answer(client: SiteverifyClient, siteverify: SiteverifyServer) -> None:
    """Cloudflare answers bad input that way."""
    siteverify.script_any(Answer(status=400))
    answer = await client.siteverify(token="bad", ip=None, idempotency_key=KEY)
    assert not answer.success
    assert answer.error_codes == ("invalid-input-response",)


@pytest.mark.parametrize("status", [400, 403, 404, 429])
async def test_a_yes_with_a_status_that_says_no_is_no_answer(
    client: SiteverifyClient, siteverify: SiteverifyServer, status: int
) -> None:
    """It is not siteverify's: nobody gets in by it."""
    token = passing_token("A" * 22)
    good = await client.siteverify(token=token, ip=None, idempotency_key=KEY)
    siteverify.script_any(Answer(status=status, body=good.model_dump(mode="json", by_alias=True)))
    with pytest.raises(ChallengeUnavailable):
        await client.siteverify(token=token, ip=None, idempotency_key=KEY)


async def test_an_endless_answer_is_no_answer(client: SiteverifyClient, siteverify: SiteverifyServer) -> None:
    """However good it looks: who answers with megabytes wants our memory."""
    siteverify.script_any(Answer(body={"padding": "x" * 65_536}))
    with pytest.raises(ChallengeUnavailable):
        await client.siteverify(token=passing_token("A" * 22), ip=None, idempotency_key=KEY)


async def test_a_slow_server_is_no_answer(siteverify: SiteverifyServer) -> None:
    """The whole call is limited, not each part of it."""
    client = SiteverifyClient(siteverify.url, SECRET, timeout_s=0.2)
    siteverify.script_any(Answer(delay_s=1))
    async with asyncio.timeout(0.9):
        with pytest.raises(ChallengeUnavailable):
            await client.siteverify(token="token", ip=None, idempotency_key=KEY)
    await client.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nonsense", "http://[", "ftp://example.test/"])
async def test_a_server_that_is_not_there_is_no_answer(url: str) -> None:
    """Nor is a URL that cannot be used."""
    client = SiteverifyClient(url, SECRET)
    with pytest.raises(ChallengeUnavailable):
        await client.siteverify(token="token", ip=None, idempotency_key=KEY)
    await client.close()
