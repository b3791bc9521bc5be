"""The local siteverify answers like Cloudflare's, or as scripted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deploy.local.servers.siteverify import ACTION, HOSTNAME, SECRET, Answer, SiteverifyServer, passing_token

SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"


async def _ask(server: SiteverifyServer, token: str, key: str | None = None, secret: str = SECRET) -> Any:
    fields = {"secret": secret, "response": token} | ({"idempotency_key": key} if key else {})
    async with httpx.AsyncClient() as client:
        return (await client.post(server.url, data=fields)).json()


async def test_the_answer_to_a_valid_token_names_its_sign_in(siteverify: SiteverifyServer) -> None:
    """The answer contains success, host name, action, the sign-in as ``cdata``, and the present time."""
    answer = await _ask(siteverify, passing_token(SIGNIN_ID))
    solved_at = datetime.fromisoformat(answer.pop("challenge_ts"))
    assert abs(datetime.now(UTC) - solved_at) < timedelta(seconds=10)
    assert answer == {"success": True, "hostname": HOSTNAME, "action": ACTION, "cdata": SIGNIN_ID, "error-codes": []}


async def test_a_token_is_valid_once(siteverify: SiteverifyServer) -> None:
    """A second use of a token fails, unless it has the same idempotency key."""
    token = passing_token(SIGNIN_ID)
    assert (await _ask(siteverify, token, "key"))["success"]
    assert (await _ask(siteverify, token, "key"))["success"]
    assert (await _ask(siteverify, token, "other"))["error-codes"] == ["timeout-or-duplicate"]
    assert (await _ask(siteverify, token))["error-codes"] == ["timeout-or-duplicate"]


async def test_invalid_tokens_and_secrets_fail(siteverify: SiteverifyServer) -> None:
    """Each kind of failure has Cloudflare's error code, and every call is recorded."""
    assert (await _ask(siteverify, "bot"))["error-codes"] == ["invalid-input-response"]
    assert (await _ask(siteverify, "pass"))["error-codes"] == ["invalid-input-response"]
    assert (await _ask(siteverify, ""))["error-codes"] == ["missing-input-response"]
    assert (await _ask(siteverify, "x", secret="wrong"))["error-codes"] == ["invalid-input-secret"]
    assert [call["response"] for call in siteverify.calls] == ["bot", "pass", "", "x"]


async def test_json_is_accepted(siteverify: SiteverifyServer) -> None:
    """A call may contain JSON instead of a form."""
    async with httpx.AsyncClient() as client:
        fields = {"secret": SECRET, "response": passing_token(SIGNIN_ID)}
        assert (await client.post(siteverify.url, json=fields)).json()["success"]


async def test_answers_and_outages_can_be_scripted(siteverify: SiteverifyServer) -> None:
    """Answers for one token precede those for any token, override the usual members, and are given once."""
    token = passing_token(SIGNIN_ID)
    siteverify.script(token, Answer({"hostname": "evil.example"}, delay_s=0.01))
    siteverify.script_any(Answer("<html>down</html>", status=503))

    assert (await _ask(siteverify, token, "key"))["hostname"] == "evil.example"

    async with httpx.AsyncClient() as client:
        answer = await client.post(siteverify.url, data={"secret": SECRET, "response": token})

    assert (answer.status_code, answer.text) == (503, "<html>down</html>")
    assert (await _ask(siteverify, token, "key"))["hostname"] == HOSTNAME


async def test_stop_may_be_called_at_any_time() -> None:
    """A second stop, and a stop before the start, do nothing."""
    server = SiteverifyServer()
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()
