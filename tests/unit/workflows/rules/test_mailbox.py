"""The life of a sign-in, up to its one terminal result, and of its mailbox."""

from datetime import timedelta

from schemas.results import CodeSent, SignInRejected
from tests.fakes.mailbox_world import GENEROUS, RIGHT, WRONG, MailboxWorld
from workflows.rules.attempts import MAX_LIVE_SIGN_INS
from workflows.rules.memory import MAX_ENDED_SIGN_INS


def test_the_right_code_in_time_succeeds(world: MailboxWorld) -> None:
    """A sign-in takes one mail and one code."""
    signin_id = world.mailed_sign_in()
    world.submit(signin_id, RIGHT)
    assert world.outcomes() == ["signin.code_sent", "signin.succeeded"]


def test_code_sent_says_when_the_code_expires_and_can_be_sent_again(
    world: MailboxWorld,
) -> None:
    """A code expires after 300 s and can be sent again after 60 s."""
    world.sign_in()
    result = world.last_result()
    assert isinstance(result, CodeSent)
    assert result.expires_at - world.now == timedelta(seconds=300)
    assert result.resend_after - world.now == timedelta(seconds=60)


def test_a_sign_in_has_expired_exactly_at_its_end(world: MailboxWorld) -> None:
    """A moment before the end the code is good; at the end it is not (SECURITY S2)."""
    early = world.mailed_sign_in()
    late = world.mailed_sign_in()

    world.wait(299.999)
    world.submit(early, RIGHT)
    world.run_jobs()
    world.wait(0.001)
    world.submit(late, RIGHT)

    assert world.outcomes(early)[-1] == "signin.succeeded"
    assert world.outcomes(late)[-1] == "signin.expired"


def test_a_code_after_the_end_is_late_even_if_no_timer_fired(world: MailboxWorld) -> None:
    """A worker that was away does not accept an old code."""
    signin_id = world.mailed_sign_in()

    world.now += timedelta(seconds=300)
    world.submit(signin_id, RIGHT)

    assert world.outcomes()[-1] == "signin.expired"


def test_a_sign_in_without_an_accepted_mail_ends_as_a_failed_delivery(
    world: MailboxWorld,
) -> None:
    """The person never had a code, so nothing expired."""
    world.sign_in()
    world.finish(world.take_job(), "again")
    world.wait(300)
    assert world.outcomes() == ["signin.failed delivery_failed"]


def test_an_abandoned_sign_in_fails_once(world: MailboxWorld) -> None:
    """Abandoning a sign-in gives it its terminal result; abandoning it again changes nothing."""
    signin_id = world.mailed_sign_in()

    world.mailbox.abandon(signin_id, world.now)
    world.mailbox.abandon(signin_id, world.now)

    assert world.outcomes() == ["signin.code_sent", "signin.failed delivery_failed"]


def test_a_rejection_holds_through_a_flood_of_requests(world: MailboxWorld) -> None:
    """A frozen worker may hand the sign-in over later. Meanwhile more were turned away than are remembered."""
    frozen = "signin-frozen-0000000001"
    decided_at = world.now
    world.reject(frozen)
    for _ in range(MAX_ENDED_SIGN_INS + 10):
        world.sign_in()
    world.sign_in(frozen, decided_at=decided_at, born_at=decided_at)

    assert world.outcomes(frozen) == ["signin.rejected challenge_failed"]


def test_a_mailbox_has_room_for_64_sign_ins() -> None:
    """Further sign-ins are throttled until one ends."""
    world = MailboxWorld(GENEROUS)
    for _ in range(MAX_LIVE_SIGN_INS):
        world.sign_in()

    throttled = world.last_result(world.sign_in())

    assert isinstance(throttled, SignInRejected)
    assert (throttled.reason, throttled.retry_after_s) == ("throttled", 300)


def test_a_rejected_stale_request_leaves_its_submissions_without_a_result(
    world: MailboxWorld,
) -> None:
    """A worker that was away for an hour sends no old mails."""
    signin_id = "signin-stale-0000000001"
    born_at = world.now
    world.wait(301)

    world.submit(signin_id, RIGHT)
    world.sign_in(signin_id, born_at=born_at)
    world.wait(60)
    world.submit(signin_id, RIGHT)
    world.wait(60)

    assert world.outcomes() == ["signin.rejected stale"]
    assert world.mailbox.status().mails_last_day == 0


def test_a_mailbox_that_only_saw_unknown_sign_ins_ends_when_duplicates_cannot_come_any_more(
    world: MailboxWorld,
) -> None:
    """A duplicate can come for ten minutes, 10 s of which the submission has waited already.

    It may come 5 s later still, through a consumer whose clock is behind. Seed 35618 of the simulation.
    """
    world.submit("signin-never-0000000001", WRONG)
    world.wait(10)
    world.run_jobs()

    assert world.next_wake_up() == timedelta(seconds=595)

    world.wait(594)

    assert not world.mailbox.is_done(world.now)

    world.wait(1)

    assert world.mailbox.is_done(world.now)


def test_a_request_that_was_handled_hours_late_is_remembered_for_as_long_as_any(world: MailboxWorld) -> None:
    """Its first task is done again when the workers are back, and rejects it, too. Seed 680 of the simulation."""
    signin_id = "signin-stale-0000000001"
    handed_over_at = world.now
    world.wait(82_800)
    world.sign_in(signin_id, decided_at=handed_over_at, born_at=handed_over_at)
    world.wait(604)
    world.run_jobs()

    assert not world.mailbox.is_done(world.now)
    assert world.next_wake_up() == timedelta(seconds=1)


def test_a_mailbox_remembers_for_longer_if_nobody_worked_when_it_was_to_end(world: MailboxWorld) -> None:
    """Requests that are under way are as late as the mailbox is. Seed 48145 of the simulation."""
    world.reject("signin-late-00000000001")
    world.run_jobs()
    world.wait(3_600)

    assert not world.mailbox.is_done(world.now)
    assert world.next_wake_up() == timedelta(seconds=605)

    world.wait(605)

    assert world.mailbox.is_done(world.now)


def test_a_mailbox_whose_workers_are_always_late_ends(world: MailboxWorld) -> None:
    """In a cluster that is too busy, mailboxes that stayed for ever would make it busier still."""
    world.reject("signin-late-00000000001")
    world.run_jobs()
    for _ in range(2):
        world.wait(world.next_wake_up().total_seconds() + 10)

    assert world.mailbox.is_done(world.now)


def test_a_mailbox_ends_a_day_after_its_last_mail(world: MailboxWorld) -> None:
    """It ends when its budgets remember nothing and its results are published."""
    world.sign_in()
    world.wait(300)

    assert not world.mailbox.is_done(world.now)

    world.run_jobs()
    world.wait(86_400 - 301)

    assert not world.mailbox.is_done(world.now)
    assert world.next_wake_up() == timedelta(seconds=1)

    world.wait(1)

    assert world.mailbox.is_done(world.now)
