"""The client of siteverify, against a local server."""

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
    """The form has secret, token, idempotency key, and the client's address if it is valid."""
    await client.siteverify(token="some token", ip=ip, idempotency_key=KEY)
    form = {"secret": SECRET, "response": "some token", "idempotency_key": KEY}
    assert siteverify.calls == [form if sent is None else form | {"remoteip": sent}]


async def test_a_good_token_has_a_full_answer(client: SiteverifyClient) -> None:
    """The answer has every field that the activity checks."""
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
async def test_an_undocumented_answer_is_unavailable(
    client: SiteverifyClient, siteverify: SiteverifyServer, scripted: Answer
) -> None:
    """A 200 without the documented JSON counts like a 5xx."""
    siteverify.script_any(scripted)
    with pytest.raises(ChallengeUnavailable):
        await client.siteverify(token="token", ip=None, idempotency_key=KEY)


async def test_a_no_with_status_400_is_an_answer(client: SiteverifyClient, siteverify: SiteverifyServer) -> None:
    """Cloudflare answers bad input with a 400."""
    siteverify.script_any(Answer(status=400))
    answer = await client.siteverify(token="bad", ip=None, idempotency_key=KEY)
    assert not answer.success
    assert answer.error_codes == ("invalid-input-response",)


@pytest.mark.parametrize("status", [400, 403, 404, 429])
async def test_a_yes_with_an_error_status_is_unavailable(
    client: SiteverifyClient, siteverify: SiteverifyServer, status: int
) -> None:
    """Such an answer does not come from siteverify, so it lets nobody in."""
    token = passing_token("A" * 22)
    good = await client.siteverify(token=token, ip=None, idempotency_key=KEY)
    siteverify.script_any(Answer(status=status, body=good.model_dump(mode="json", by_alias=True)))
    with pytest.raises(ChallengeUnavailable):
        await client.siteverify(token=token, ip=None, idempotency_key=KEY)


async def test_a_huge_answer_is_unavailable(client: SiteverifyClient, siteverify: SiteverifyServer) -> None:
    """A body above 64 KiB is not read to its end."""
    siteverify.script_any(Answer(body={"padding": "x" * 65_536}))
    with pytest.raises(ChallengeUnavailable):
        await client.siteverify(token=passing_token("A" * 22), ip=None, idempotency_key=KEY)


async def test_a_slow_server_is_unavailable(siteverify: SiteverifyServer) -> None:
    """The timeout is for the whole call, not for each part of it."""
    client = SiteverifyClient(siteverify.url, SECRET, timeout_s=0.2)
    siteverify.script_any(Answer(delay_s=1))
    async with asyncio.timeout(0.9):
        with pytest.raises(ChallengeUnavailable):
            await client.siteverify(token="token", ip=None, idempotency_key=KEY)
    await client.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nonsense", "http://[", "ftp://example.test/"])
async def test_a_missing_server_is_unavailable(url: str) -> None:
    """An unreachable server, and a URL that cannot be used, raise ``ChallengeUnavailable``."""
    client = SiteverifyClient(url, SECRET)
    with pytest.raises(ChallengeUnavailable):
        await client.siteverify(token="token", ip=None, idempotency_key=KEY)
    await client.close()
