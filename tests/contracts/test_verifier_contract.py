"""The contract of ``ChallengeVerifier``, for the fake and for HTTP with a server that implements siteverify."""

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from activities.errors import ChallengeUnavailable
from activities.ports import ChallengeVerifier, SiteverifyAnswer
from deploy.local.servers.siteverify import SECRET, Answer, SiteverifyServer, passing_token
from tests.fakes.verifier import FakeVerifier
from utils.settings.sections import TEST_SECRETS
from utils.turnstile import SiteverifyClient

SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"
FIRST = "0a6e3d5e-6f0e-4c39-9a53-6a5f1c2f9d10"
SECOND = "0a6e3d5e-6f0e-4c39-9a53-6a5f1c2f9d11"


class Stage(Protocol):
    """A verifier and its siteverify."""

    @property
    def verifier(self) -> ChallengeVerifier:
        """The verifier under test."""
        ...

    def good_token(self) -> str:
        """Return a token that passes once."""
        ...

    def go_down(self) -> None:
        """Leave the next call without an answer."""
        ...


class FakeStage:
    """The fake, which has no server."""

    def __init__(self) -> None:
        self.verifier = FakeVerifier()

    def good_token(self) -> str:
        """Script a token."""
        self.verifier.script("good", SiteverifyAnswer(success=True, cdata=SIGNIN_ID, action="signin"))
        return "good"

    def go_down(self) -> None:
        """Make every call raise."""
        self.verifier.down = True


class HttpStage:
    """The real verifier with an HTTP server."""

    def __init__(self, server: SiteverifyServer) -> None:
        self._server = server
        self.verifier = SiteverifyClient(server.url, SECRET, timeout_s=2)

    def good_token(self) -> str:
        """Create a token that the server knows."""
        return passing_token(SIGNIN_ID)

    def go_down(self) -> None:
        """Script an outage."""
        self._server.script_any(Answer(status=503, body="down"))


@pytest.fixture(params=["fake", "http"])
async def stage(request: pytest.FixtureRequest, siteverify: SiteverifyServer) -> AsyncIterator[Stage]:
    """Give each verifier in turn."""
    if request.param == "fake":
        yield FakeStage()
        return

    http = HttpStage(siteverify)
    yield http
    await http.verifier.close()


async def test_an_answer_to_a_test_secret_is_marked(siteverify: SiteverifyServer) -> None:
    """Cloudflare marks it, and accepts any token."""
    for secret, is_test in ((TEST_SECRETS[0], True), (SECRET, False)):
        verifier = SiteverifyClient(siteverify.url, secret, timeout_s=2)
        answer = await verifier.siteverify(token=passing_token(SIGNIN_ID), ip=None, idempotency_key=FIRST)
        await verifier.close()

        assert (answer.success, answer.metadata.result_with_testing_key) == (True, is_test)


async def test_a_valid_token_passes_with_its_sign_in_and_action(stage: Stage) -> None:
    """The answer says for which sign-in and action the challenge was solved."""
    answer = await stage.verifier.siteverify(token=stage.good_token(), ip="203.0.113.7", idempotency_key=FIRST)
    assert (answer.success, answer.cdata, answer.action) == (True, SIGNIN_ID, "signin")


async def test_a_token_is_valid_once_except_for_a_repeat_of_the_same_call(stage: Stage) -> None:
    """The idempotency key tells a retry from a second use."""
    token = stage.good_token()
    for key, passes in ((FIRST, True), (FIRST, True), (SECOND, False)):
        answer = await stage.verifier.siteverify(token=token, ip=None, idempotency_key=key)
        assert answer.success is passes
    assert answer.error_codes == ("timeout-or-duplicate",)


async def test_an_unknown_token_is_an_answer_and_not_an_error(stage: Stage) -> None:
    """The answer says that the token is invalid."""
    answer = await stage.verifier.siteverify(token="made up", ip=None, idempotency_key=FIRST)
    assert (answer.success, answer.error_codes) == (False, ("invalid-input-response",))


async def test_a_missing_answer_raises_challenge_unavailable(stage: Stage) -> None:
    """An outage says nothing about the token."""
    stage.go_down()
    with pytest.raises(ChallengeUnavailable):
        await stage.verifier.siteverify(token=stage.good_token(), ip=None, idempotency_key=FIRST)
