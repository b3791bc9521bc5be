"""Every field of Turnstile's answer counts (SECURITY S12)."""

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


async def test_a_person_passes() -> None:
    """Siteverify is asked once, with token and address, and nothing is logged."""
    verifier = FakeVerifier()
    verifier.script(TOKEN, GOOD)
    with log_book() as book:
        verdict = await called().run(_activities(verifier).verify_turnstile_activity, _task())
    assert verdict == TokenVerdict(passed=True)
    assert [(asked.token, asked.ip) for asked in verifier.asked] == [(TOKEN, "203.0.113.7")]
    assert book.records == []


@pytest.mark.parametrize("token", [None, "", "x" * 2049])
async def test_a_token_that_can_be_none_is_not_asked_about(token: str | None) -> None:
    """Missing, empty or longer than any of Turnstile's."""
    verifier = FakeVerifier()
    verdict = await called().run(_activities(verifier).verify_turnstile_activity, _task(token))
    assert verdict == TokenVerdict(passed=False, why="token")
    assert verifier.asked == []


async def test_the_longest_token_is_asked_about() -> None:
    """2,048 characters are fine."""
    verifier = FakeVerifier()
    verifier.script("x" * 2048, GOOD)
    assert (await called().run(_activities(verifier).verify_turnstile_activity, _task("x" * 2048))).passed


@pytest.mark.parametrize(
    ("field", "value"),
    [("success", False), ("hostname", None), ("hostname", "z.test"), ("hostname", "a.x.test"), ("action", None)]
    + [("action", "login"), ("cdata", None), ("cdata", SIGNIN + "t"), ("challenge_ts", None)]
    + [("challenge_ts", NOW - timedelta(seconds=300, microseconds=1)), ("challenge_ts", NOW.replace(tzinfo=None))]
    + [("challenge_ts", NOW + timedelta(seconds=60, microseconds=1))],
)
async def test_one_wrong_field_fails(field: str, value: object) -> None:
    """The verdict names it, and so does the log."""
    with log_book() as book:
        verdict = await _verdict(GOOD.model_copy(update={field: value}))
    assert verdict == TokenVerdict(passed=False, why=field)
    (extra,) = (extra for extra in book.extras() if "why" in extra)
    assert (extra["why"], extra["signin_id"], extra["attempt"]) == (field, SIGNIN, 1)


@pytest.mark.parametrize("seconds", [-60, 0, 300])
async def test_an_age_at_its_limits_passes(seconds: int) -> None:
    """Clocks may differ by a minute."""
    assert (await _verdict(GOOD.model_copy(update={"challenge_ts": NOW - timedelta(seconds=seconds)}))).passed


async def _verdict_by_test_secret(answer: SiteverifyAnswer) -> TokenVerdict:
    verifier = FakeVerifier()
    verifier.script(TOKEN, answer)
    activities = TurnstileActivities(verifier, frozenset(), "signin", 300, lambda: NOW, by_test_secret=True)
    return await called().run(activities.verify_turnstile_activity, _task())


@pytest.mark.parametrize("success", [True, False])
async def test_a_test_secret_decides_by_success_alone(success: bool) -> None:
    """Cloudflare's answer to it names no action and no sign-in: nobody could sign in where one develops."""
    verdict = await _verdict_by_test_secret(TEST_ANSWER.model_copy(update={"success": success}))
    assert verdict == TokenVerdict(passed=success, why=None if success else "success")


async def test_what_is_no_test_answer_is_held_to_every_field() -> None:
    """Neither the secret alone nor the answer's mark alone opens anything: a real secret knows no test answers."""
    assert (await _verdict_by_test_secret(GOOD)).passed
    assert await _verdict_by_test_secret(GOOD.model_copy(update={"cdata": "t" * 22})) == TokenVerdict(
        passed=False, why="cdata"
    )
    assert not (await _verdict(TEST_ANSWER)).passed


async def test_names_of_hosts_have_no_case() -> None:
    """Neither in the settings nor in the answer."""
    assert (await _verdict(GOOD.model_copy(update={"hostname": "X.TEST"}), {"x.Test"})).passed


async def test_without_hostnames_any_host_passes() -> None:
    """That is for development."""
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
async def test_whatever_is_answered_there_is_a_verdict(answer: SiteverifyAnswer) -> None:
    """No answer raises, and only one that is right in every field passes."""
    solved_at = answer.challenge_ts
    right = answer == GOOD.model_copy(update={"challenge_ts": solved_at})
    young = solved_at is not None and solved_at.tzinfo is not None and -60 <= (NOW - solved_at).total_seconds() <= 300
    assert (await _verdict(answer)).passed is (right and young)


async def test_a_repeat_of_a_try_asks_with_the_same_key() -> None:
    """An answer that got lost is given again; another attempt with the same token is none."""
    verifier = FakeVerifier()
    verifier.script(TOKEN, GOOD)
    check = _activities(verifier).verify_turnstile_activity

    assert (await called().run(check, _task())).passed
    assert (await called().run(check, _task())).passed
    assert not (await called().run(check, _task(attempt=2))).passed

    first, again, other = (asked.idempotency_key for asked in verifier.asked)

    assert first == again != other
    assert TOKEN not in first


async def test_an_internal_error_is_tried_again() -> None:
    """It says nothing about the token."""
    verifier = FakeVerifier()
    verifier.script(TOKEN, refused("internal-error"))
    with log_book() as book:
        error = await failing(_activities(verifier).verify_turnstile_activity, _task())
    assert (error.type, error.non_retryable) == ("ChallengeUnavailable", False)
    assert [record.levelname for record in book.records] == ["WARNING"]


async def test_an_outage_is_tried_again() -> None:
    """The workflow bounds for how long."""
    verifier = FakeVerifier()
    verifier.down = True
    assert (await failing(_activities(verifier).verify_turnstile_activity, _task())).type == "ChallengeUnavailable"


async def test_a_wrong_secret_is_an_error_of_ours() -> None:
    """The person fails, as the contract has it, but whoever runs the worker is told."""
    with log_book() as book:
        assert (await _verdict(refused("invalid-input-secret"))).why == "success"
    assert [record.levelname for record in book.records] == ["ERROR", "INFO"]
    assert book.extras()[0]["error_codes"] == ["invalid-input-secret"]


async def test_only_documented_error_codes_are_logged() -> None:
    """Any other text of the answer could be anything."""
    answer = SiteverifyAnswer.model_validate({"success": False, "error-codes": ["timeout-or-duplicate", "my-secret"]})
    with log_book() as book:
        await _verdict(answer)
    assert book.extras()[0]["error_codes"] == ["timeout-or-duplicate"]
