"""The local siteverify answers as Cloudflare's does, or as scripted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deploy.local.servers.siteverify import ACTION, HOSTNAME, SECRET, Answer, SiteverifyServer, passing_token

SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"


async def _ask(server: SiteverifyServer, token: str, key: str | None = None, secret: str = SECRET) -> Any:
    fields = {"secret": secret, "response": token} | ({"idempotency_key": key} if key else {})
    async with httpx.AsyncClient() as client:
        return (await client.post(server.url, data=fields)).json()


async def test_a_good_token_names_its_sign_in(siteverify: SiteverifyServer) -> None:
    """The answer holds success, hostname, action, cdata and a fresh time."""
    answer = await _ask(siteverify, passing_token(SIGNIN_ID))
    asked = datetime.fromisoformat(answer.pop("challenge_ts"))
    assert abs(datetime.now(UTC) - asked) < timedelta(seconds=10)
    assert answer == {"success": True, "hostname": HOSTNAME, "action": ACTION, "cdata": SIGNIN_ID, "error-codes": []}


async def test_a_token_is_good_once(siteverify: SiteverifyServer) -> None:
    """The same token again fails, unless the idempotency key is the same."""
    token = passing_token(SIGNIN_ID)
    assert (await _ask(siteverify, token, "key"))["success"]
    assert (await _ask(siteverify, token, "key"))["success"]
    assert (await _ask(siteverify, token, "other"))["error-codes"] == ["timeout-or-duplicate"]
    assert (await _ask(siteverify, token))["error-codes"] == ["timeout-or-duplicate"]


async def test_bad_tokens_and_secrets_fail(siteverify: SiteverifyServer) -> None:
    """Each kind of nonsense has Cloudflare's error code; every call is kept."""
    assert (await _ask(siteverify, "bot"))["error-codes"] == ["invalid-input-response"]
    assert (await _ask(siteverify, "pass"))["error-codes"] == ["invalid-input-response"]
    assert (await _ask(siteverify, ""))["error-codes"] == ["missing-input-response"]
    assert (await _ask(siteverify, "x", secret="wrong"))["error-codes"] == ["invalid-input-secret"]
    assert [call["response"] for call in siteverify.calls] == ["bot", "pass", "", "x"]


async def test_json_is_read_too(siteverify: SiteverifyServer) -> None:
    """A call may carry JSON in place of a form."""
    async with httpx.AsyncClient() as client:
        fields = {"secret": SECRET, "response": passing_token(SIGNIN_ID)}
        assert (await client.post(siteverify.url, json=fields)).json()["success"]


async def test_answers_and_outages_can_be_scripted(siteverify: SiteverifyServer) -> None:
    """A token's own script comes before the outage; members are laid over the usual answer; then all is as usual."""
    token = passing_token(SIGNIN_ID)
    siteverify.script(token, Answer({"hostname": "evil.example"}, delay_s=0.01))
    siteverify.script_any(Answer("<html>down</html>", status=503))

    assert (await _ask(siteverify, token, "key"))["hostname"] == "evil.example"

    async with httpx.AsyncClient() as client:
        answer = await client.post(siteverify.url, data={"secret": SECRET, "response": token})

    assert (answer.status_code, answer.text) == (503, "<html>down</html>")
    assert (await _ask(siteverify, token, "key"))["hostname"] == HOSTNAME


async def test_stopping_twice_is_fine() -> None:
    """A second stop, or one before any start, does nothing."""
    server = SiteverifyServer()
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()
