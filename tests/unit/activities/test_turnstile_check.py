"""The activity that verifies challenges: every field of the answer counts (SECURITY S12)."""

from collections.abc import Set
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.ports import AnswerMetadata, SiteverifyAnswer
from activities.turnstile_check import TurnstileActivities
from schemas.tasks import TokenToCheck, TokenVerdict
from tests.fakes.activity_calls import called, failing, log_book
from tests.fakes.verifier import FakeVerifier, refused

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SIGNIN = "s" * 22
GOOD = SiteverifyAnswer(success=True, challenge_ts=NOW, hostname="x.test", action="signin", cdata=SIGNIN)
TEST_ANSWER = SiteverifyAnswer(
    success=True, challenge_ts=NOW, hostname="example.com", metadata=AnswerMetadata(result_with_testing_key=True)
)
TOKEN = "token-of-a-person"


def _activities(verifier: FakeVerifier, hostnames: Set[str] = frozenset({"X.test", "y.test"})) -> TurnstileActivities:
    return TurnstileActivities(verifier, hostnames, action="signin", max_token_age_s=300, clock=lambda: NOW)


def _task(token: str | None = TOKEN, attempt: int = 1) -> TokenToCheck:
    return TokenToCheck(signin_id=SIGNIN, attempt=attempt, token=token, ip="203.0.113.7")


async def _verdict(answer: SiteverifyAnswer, hostnames: Set[str] = frozenset({"x.test"})) -> TokenVerdict:
    verifier = FakeVerifier()
    verifier.script(TOKEN, answer)
    return await called().run(_activities(verifier, hostnames).verify_turnstile_activity, _task())


async def test_a_correct_answer_passes() -> None:
    """Siteverify is called once, with token and IP address, and nothing is logged."""
    verifier = FakeVerifier()
    verifier.script(TOKEN, GOOD)
    with log_book() as book:
        verdict = await called().run(_activities(verifier).verify_turnstile_activity, _task())

    assert verdict == TokenVerdict(passed=True)
    assert [(asked.token, asked.ip) for asked in verifier.asked] == [(TOKEN, "203.0.113.7")]
    assert book.records == []


@pytest.mark.parametrize("token", [None, "", "x" * 2049])
async def test_an_impossible_token_fails_without_a_call(token: str | None) -> None:
    """It is missing, empty, or longer than any of Turnstile's."""
    verifier = FakeVerifier()
    verdict = await called().run(_activities(verifier).verify_turnstile_activity, _task(token))
    assert verdict == TokenVerdict(passed=False, why="token")
    assert verifier.asked == []


async def test_the_longest_token_is_verified() -> None:
    """A token may have 2,048 characters."""
    verifier = FakeVerifier()
    verifier.script("x" * 2048, GOOD)
    assert (await called().run(_activities(verifier).verify_turnstile_activity, _task("x" * 2048))).passed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("success", False),
        ("hostname", None),
        ("hostname", "z.test"),
        ("hostname", "a.x.test"),
        ("action", None),
        ("action", "login"),
        ("cdata", None),
        ("cdata", SIGNIN + "t"),
        ("challenge_ts", None),
        ("challenge_ts", NOW.replace(tzinfo=None)),
        ("challenge_ts", NOW - timedelta(seconds=300, microseconds=1)),
        ("challenge_ts", NOW + timedelta(seconds=60, microseconds=1)),
    ],
)
async def test_one_wrong_field_fails(field: str, value: object) -> None:
    """Both the verdict and the log name it."""
    with log_book() as book:
        verdict = await _verdict(GOOD.model_copy(update={field: value}))
    (extra,) = (extra for extra in book.extras() if "why" in extra)

    assert verdict == TokenVerdict(passed=False, why=field)
    assert (extra["why"], extra["signin_id"], extra["attempt"]) == (field, SIGNIN, 1)


@pytest.mark.parametrize("seconds", [-60, 0, 300])
async def test_an_age_at_the_limits_passes(seconds: int) -> None:
    """Clocks may differ by up to a minute."""
    solved_at = NOW - timedelta(seconds=seconds)
    assert (await _verdict(GOOD.model_copy(update={"challenge_ts": solved_at}))).passed


async def _verdict_by_test_secret(answer: SiteverifyAnswer) -> TokenVerdict:
    verifier = FakeVerifier()
    verifier.script(TOKEN, answer)
    activities = TurnstileActivities(verifier, frozenset(), "signin", 300, lambda: NOW, by_test_secret=True)
    return await called().run(activities.verify_turnstile_activity, _task())


@pytest.mark.parametrize("success", [True, False])
async def test_a_test_secret_decides_by_success_alone(success: bool) -> None:
    """Cloudflare's answer to it names neither action nor sign-in, so nobody could sign in during development."""
    verdict = await _verdict_by_test_secret(TEST_ANSWER.model_copy(update={"success": success}))
    assert verdict == TokenVerdict(passed=success, why=None if success else "success")


async def test_only_a_test_answer_to_a_test_secret_is_spared_the_other_fields() -> None:
    """Neither the secret alone nor the mark of the answer alone suffices: real secrets get no test answers."""
    of_another_sign_in = GOOD.model_copy(update={"cdata": "t" * 22})

    assert (await _verdict_by_test_secret(GOOD)).passed
    assert (await _verdict_by_test_secret(of_another_sign_in)).why == "cdata"
    assert not (await _verdict(TEST_ANSWER)).passed


async def test_hostnames_are_compared_without_case() -> None:
    """Neither the settings nor the answer has to be in lower case."""
    assert (await _verdict(GOOD.model_copy(update={"hostname": "X.TEST"}), {"x.Test"})).passed


async def test_without_hostnames_any_host_passes() -> None:
    """An empty set of hostnames is meant for development."""
    assert (await _verdict(GOOD.model_copy(update={"hostname": None}), frozenset())).passed


AROUND_NOW = st.integers(-100, 400).map(lambda seconds: NOW - timedelta(seconds=seconds))


@given(
    answer=st.builds(
        SiteverifyAnswer,
        success=st.booleans(),
        challenge_ts=st.none() | st.datetimes(timezones=st.none() | st.just(UTC)) | AROUND_NOW,
        hostname=st.none() | st.text() | st.just("x.test"),
        action=st.none() | st.text() | st.just("signin"),
        cdata=st.none() | st.text() | st.just(SIGNIN),
    )
)
async def test_every_answer_gives_a_verdict(answer: SiteverifyAnswer) -> None:
    """No answer raises, and only an answer that is right in every field passes."""
    is_right = answer == GOOD.model_copy(update={"challenge_ts": answer.challenge_ts})

    assert (await _verdict(answer)).passed is (is_right and _is_fresh(answer.challenge_ts))


def _is_fresh(solved_at: datetime | None) -> bool:
    if solved_at is None or solved_at.tzinfo is None:
        return False
    return -60 <= (NOW - solved_at).total_seconds() <= 300


async def test_a_retry_uses_the_same_idempotency_key() -> None:
    """A lost answer is given again, but the same token does not pass for another attempt."""
    verifier = FakeVerifier()
    verifier.script(TOKEN, GOOD)
    check = _activities(verifier).verify_turnstile_activity

    assert (await called().run(check, _task())).passed
    assert (await called().run(check, _task())).passed
    assert not (await called().run(check, _task(attempt=2))).passed

    first, again, other = (asked.idempotency_key for asked in verifier.asked)

    assert first == again != other
    assert TOKEN not in first


async def test_an_internal_error_is_retried() -> None:
    """It says nothing about the token."""
    verifier = FakeVerifier()
    verifier.script(TOKEN, refused("internal-error"))

    with log_book() as book:
        error = await failing(_activities(verifier).verify_turnstile_activity, _task())

    assert (error.type, error.non_retryable) == ("ChallengeUnavailable", False)
    assert [record.levelname for record in book.records] == ["WARNING"]


async def test_an_outage_is_retried() -> None:
    """The workflow decides for how long."""
    verifier = FakeVerifier()
    verifier.down = True

    error = await failing(_activities(verifier).verify_turnstile_activity, _task())

    assert error.type == "ChallengeUnavailable"


async def test_a_wrong_secret_is_logged_as_an_error() -> None:
    """The challenge fails, as the contract says, and the log tells the operator why."""
    with log_book() as book:
        assert (await _verdict(refused("invalid-input-secret"))).why == "success"

    assert [record.levelname for record in book.records] == ["ERROR", "INFO"]
    assert book.extras()[0]["error_codes"] == ["invalid-input-secret"]


async def test_only_documented_error_codes_are_logged() -> None:
    """Any other code is untrusted text."""
    answer = SiteverifyAnswer.model_validate({"success": False, "error-codes": ["timeout-or-duplicate", "my-secret"]})

    with log_book() as book:
        await _verdict(answer)

    assert book.extras()[0]["error_codes"] == ["timeout-or-duplicate"]
