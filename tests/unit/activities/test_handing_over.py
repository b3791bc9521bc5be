"""The activities by which one workflow reaches others."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from temporalio.exceptions import ApplicationError

from activities.errors import HandOverRefused, SideEffectError, TemporalUnavailable
from activities.handing_over import HandOverActivities
from schemas.policy import Policy
from schemas.signals import Refusal, SignInOutcome
from schemas.tasks import FirstAttempt, FirstAttemptQuery, HandOver
from tests.fakes.activity_calls import called, failing, log_book
from tests.fakes.mailboxes import FakeFirstAttempts, FakeMailboxes

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

SIGNIN = "s" * 22
TASK = HandOver(
    mailbox="pseudonym",
    message=Refusal(signin_id=SIGNIN, attempt=2, reason="challenge_failed", decided_at=NOW),
    policy=Policy(),
)
QUERY = FirstAttemptQuery(signin_id=SIGNIN)


def activities(
    mailboxes: FakeMailboxes | None = None, first_attempts: FakeFirstAttempts | None = None, *, now: datetime = NOW
) -> HandOverActivities:
    """Return the activities."""
    return HandOverActivities(mailboxes or FakeMailboxes(), first_attempts or FakeFirstAttempts(), lambda: now)


async def test_a_message_reaches_its_mailbox() -> None:
    """The policy goes along, in case the mailbox has to be started."""
    mailboxes = FakeMailboxes()
    await called().run(activities(mailboxes).hand_over_activity, TASK)
    assert mailboxes.handed == [("pseudonym", TASK.message, TASK.policy)]


@pytest.mark.parametrize(
    ("late_s", "is_local", "arrives"), [(29, True, True), (31, True, False), (31, False, True), (-3_600, True, True)]
)
async def test_a_worker_that_was_frozen_for_long_hands_nothing_over(late_s: int, is_local: bool, arrives: bool) -> None:
    """Its task is lost, and the mailbox may have forgotten the sign-in. What history has asked for may be late."""
    mailboxes = FakeMailboxes()
    environment = called()
    environment.info = dataclasses.replace(environment.info, is_local=is_local)
    hand_over = activities(mailboxes, now=NOW + timedelta(seconds=late_s)).hand_over_activity

    if arrives:
        await environment.run(hand_over, TASK)
    else:
        with pytest.raises(ApplicationError) as caught:
            await environment.run(hand_over, TASK)
        assert caught.value.type == "TaskLost"
    assert bool(mailboxes.handed) is arrives


@pytest.mark.parametrize(("answer", "final"), [(HandOverRefused, True), (TemporalUnavailable, False)])
async def test_only_a_refused_message_is_not_retried(answer: type[SideEffectError], final: bool) -> None:
    """The log names the type of the message, not its content."""
    mailboxes = FakeMailboxes()
    mailboxes.script(answer)
    hand_over = activities(mailboxes).hand_over_activity

    with log_book() as book:
        error = await failing(hand_over, TASK)
    (extra,) = book.extras()

    assert (error.type, error.non_retryable) == (answer.__name__, final)
    assert (extra["signin_id"], extra["attempt"], extra["message_type"]) == (SIGNIN, 2, "Refusal")


async def test_the_state_of_the_first_attempt_is_passed_through() -> None:
    """It is unknown, running, or closed with its outcome."""
    first_attempts = FakeFirstAttempts()
    read = activities(first_attempts=first_attempts).read_first_attempt_activity

    assert await called().run(read, QUERY) == FirstAttempt(status="unknown")

    first_attempts.running(SIGNIN)

    assert await called().run(read, QUERY) == FirstAttempt(status="running")

    outcome = SignInOutcome(status="rejected", reason="stale")
    first_attempts.closed(SIGNIN, outcome)

    assert await called().run(read, QUERY) == FirstAttempt(status="closed", outcome=outcome)


async def test_a_failed_read_of_the_first_attempt_is_retried() -> None:
    """No answer does not mean that there is no first attempt."""
    first_attempts = FakeFirstAttempts()
    first_attempts.down = True
    read = activities(first_attempts=first_attempts).read_first_attempt_activity

    with log_book() as book:
        error = await failing(read, QUERY)

    assert (error.type, error.non_retryable) == ("TemporalUnavailable", False)
    assert [extra["signin_id"] for extra in book.extras()] == [SIGNIN]
