"""Telling mailboxes, and asking for first attempts."""

from datetime import UTC, datetime

import pytest

from activities.errors import HandOverRefused, SideEffectError, TemporalUnavailable
from activities.handing_over import HandOverActivities
from schemas.policy import Policy
from schemas.signals import Challenge, Refusal, SignInOutcome
from schemas.tasks import FirstAttempt, FirstAttemptQuery, HandOver, HandOverQuery
from tests.fakes.activity_calls import called, failing, log_book
from tests.fakes.mailboxes import FakeFirstAttempts, FakeMailboxes

SIGNIN = "s" * 22
TASK = HandOver(
    mailbox="pseudonym", message=Refusal(signin_id=SIGNIN, attempt=2, reason="challenge_failed"), policy=Policy()
)
QUERY = FirstAttemptQuery(signin_id=SIGNIN)
HANDED = HandOverQuery(mailbox="pseudonym", signin_id=SIGNIN)
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
CHALLENGE = Challenge(
    signin_id=SIGNIN,
    attempt=1,
    email="ada@example.com",
    account="a",
    requested_at=NOW,
    born_at=NOW,
    policy=Policy(),
)


async def test_a_message_reaches_its_mailbox() -> None:
    """With the policy that it may be started with."""
    mailboxes = FakeMailboxes()
    await called().run(HandOverActivities(mailboxes, FakeFirstAttempts()).hand_over_activity, TASK)
    assert mailboxes.handed == [("pseudonym", TASK.message, TASK.policy)]


@pytest.mark.parametrize(("answer", "final"), [(HandOverRefused, True), (TemporalUnavailable, False)])
async def test_only_a_refused_message_is_not_tried_again(answer: type[SideEffectError], final: bool) -> None:
    """The log names the message, not what is in it."""
    mailboxes = FakeMailboxes()
    mailboxes.script(answer)
    with log_book() as book:
        error = await failing(HandOverActivities(mailboxes, FakeFirstAttempts()).hand_over_activity, TASK)
    assert (error.type, error.non_retryable) == (answer.__name__, final)
    (extra,) = book.extras()
    assert (extra["signin_id"], extra["attempt"], extra["message_type"]) == (SIGNIN, 2, "Refusal")


async def test_what_was_handed_over_is_known() -> None:
    """By mailbox and sign-in."""
    mailboxes = FakeMailboxes()
    ask = HandOverActivities(mailboxes, FakeFirstAttempts()).was_handed_over_activity
    assert not await called().run(ask, HANDED)
    await mailboxes.hand_over("pseudonym", CHALLENGE, Policy())
    assert await called().run(ask, HANDED)
    assert not await called().run(ask, HandOverQuery(mailbox="another", signin_id=SIGNIN))


async def test_a_mailbox_that_cannot_be_asked_is_asked_again() -> None:
    """Nothing is concluded from silence here either."""
    mailboxes = FakeMailboxes()
    mailboxes.script(TemporalUnavailable)
    with log_book() as book:
        error = await failing(HandOverActivities(mailboxes, FakeFirstAttempts()).was_handed_over_activity, HANDED)
    assert (error.type, error.non_retryable) == ("TemporalUnavailable", False)
    assert [extra["signin_id"] for extra in book.extras()] == [SIGNIN]


async def test_how_the_first_attempt_stands_is_handed_through() -> None:
    """Unknown, running, or closed with its outcome."""
    first_attempts = FakeFirstAttempts()
    read = HandOverActivities(FakeMailboxes(), first_attempts).read_first_attempt_activity

    assert await called().run(read, QUERY) == FirstAttempt(status="unknown")

    first_attempts.running(SIGNIN)

    assert await called().run(read, QUERY) == FirstAttempt(status="running")

    outcome = SignInOutcome(status="rejected", reason="stale")
    first_attempts.closed(SIGNIN, outcome)

    assert await called().run(read, QUERY) == FirstAttempt(status="closed", outcome=outcome)


async def test_a_first_attempt_that_cannot_be_read_is_read_again() -> None:
    """Nothing is concluded from silence."""
    first_attempts = FakeFirstAttempts()
    first_attempts.down = True
    with log_book() as book:
        error = await failing(HandOverActivities(FakeMailboxes(), first_attempts).read_first_attempt_activity, QUERY)
    assert (error.type, error.non_retryable) == ("TemporalUnavailable", False)
    assert [extra["signin_id"] for extra in book.extras()] == [SIGNIN]
