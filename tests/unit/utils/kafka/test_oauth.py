"""Access tokens for OAUTHBEARER, from a token endpoint in the test's own loop."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from tests.fakes.token_endpoint import TokenEndpoint
from utils.files import Secret, secret_file
from utils.kafka.oauth import ClientCredentials

SECRET = "s:e/c r%t"


class Client(ClientCredentials):
    """A client of the endpoint, with a clock that a test sets."""

    def __init__(self, endpoint: TokenEndpoint, secret: Secret = SECRET) -> None:
        self.now_s = 0.0
        super().__init__(endpoint.url, "worker:1", secret, stopwatch=lambda: self.now_s)


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    """Give a token endpoint."""
    endpoint = TokenEndpoint(SECRET, lifetime_s=100)
    async with endpoint.running():
        yield endpoint


async def test_a_token_is_kept_for_three_quarters_of_its_lifetime(endpoint: TokenEndpoint) -> None:
    """Every connection asks for a token, but few ask the endpoint."""
    client = Client(endpoint)
    first = await client.token()
    client.now_s = 74
    assert await client.token() == first

    client.now_s = 75
    await client.token()

    assert len(endpoint.forms) == 2


async def test_no_token_is_kept_for_long(endpoint: TokenEndpoint) -> None:
    """The issuer may withdraw a token or change its keys without telling us."""
    endpoint.lifetime_s = 86_400
    client = Client(endpoint)
    await client.token()
    client.now_s = 300
    await client.token()

    assert len(endpoint.forms) == 2


async def test_the_last_token_is_used_while_the_endpoint_is_down(endpoint: TokenEndpoint) -> None:
    """It is used until it expires; then there is none, which aiokafka takes for a broker that is away."""
    client = Client(endpoint)
    token = await client.token()
    endpoint.is_down = True
    client.now_s = 99
    assert await client.token() == token

    client.now_s = 100
    with pytest.raises(KafkaConnectionError):
        await client.token()

    endpoint.is_down = False
    client.now_s = 102
    assert await client.token() != token


async def test_a_failing_endpoint_is_asked_once_a_second(endpoint: TokenEndpoint) -> None:
    """The Kafka client asks for a token with each of its many attempts to connect."""
    endpoint.is_down = True
    client = Client(endpoint)

    for client.now_s in (0, 0.5, 0.99, 1):
        with pytest.raises(KafkaConnectionError):
            await client.token()

    assert len(endpoint.forms) == 2


async def test_a_new_secret_is_used_for_the_next_token(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    """The secret is read from its file for each request."""
    file = tmp_path / "secret"
    file.write_text("old")
    client = Client(endpoint, secret_file("secret", file))
    with pytest.raises(KafkaConnectionError):
        await client.token()

    file.write_text(SECRET)
    client.now_s = 1

    assert await client.token()


async def test_a_refusal_is_logged_without_the_secret(
    endpoint: TokenEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the status."""
    endpoint.secret = "another"
    with caplog.at_level(logging.WARNING), pytest.raises(KafkaConnectionError):
        await Client(endpoint).token()

    (record,) = [each for each in caplog.records if each.name == "utils.kafka.oauth"]
    assert record.__dict__["error"] == "status 401"
    assert SECRET not in caplog.text


async def test_an_answer_may_come_in_pieces(endpoint: TokenEndpoint) -> None:
    """A token is read whole, however slowly the endpoint sends it."""
    endpoint.is_slow = True
    assert await Client(endpoint).token()


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "[]",
        "{}",
        '{"access_token": ""}',
        '{"access_token": 7}',
        '{"access_token": "a\\u0001b"}',
        "[" * 10_000,
        '{"access_token": "a"}' + " " * 70_000,
    ],
)
async def test_an_answer_without_a_token_is_a_failure(endpoint: TokenEndpoint, answer: str) -> None:
    """Whatever the endpoint answers, aiokafka gets the error that it expects."""
    endpoint.answer = answer
    with pytest.raises(KafkaConnectionError):
        await Client(endpoint).token()


@pytest.mark.parametrize(("expires_in", "kept_s"), [("", 45), (', "expires_in": "40"', 30), (', "expires_in": -1', 0)])
async def test_a_lifetime_may_be_missing_or_text(endpoint: TokenEndpoint, expires_in: str, kept_s: float) -> None:
    """Without one, a minute is assumed. A token that has expired already is not used."""
    endpoint.answer = f'{{"access_token": "t"{expires_in}}}'
    client = Client(endpoint)

    if kept_s:
        await client.token()
        client.now_s = kept_s - 1
        await client.token()
        assert len(endpoint.forms) == 1
    else:
        with pytest.raises(KafkaConnectionError):
            await client.token()
