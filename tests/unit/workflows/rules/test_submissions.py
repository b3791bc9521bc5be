"""Submitted codes: tries are charged before the compare, duplicates are free, early ones wait."""

from datetime import timedelta

from schemas.policy import LimitPolicy, Policy
from schemas.results import OtpRejected
from tests.fakes.mailbox_world import CAFE, EVE, GENEROUS, RIGHT, START, WRONG, MailboxWorld
from workflows.rules.jobs import CompareCode
from workflows.rules.memory import MAX_SEEN_SUBMISSIONS
from workflows.rules.submissions import MAX_QUEUED, MAX_WAITING


def test_the_fifth_wrong_code_fails_the_sign_in(world: MailboxWorld) -> None:
    """The tries count down to 0, then comes the terminal result. The right code is too late."""
    signin_id = world.mailed_sign_in()
    world.submit_wrong(signin_id, 5)
    world.submit(signin_id, RIGHT)

    assert world.outcomes() == [
        "signin.code_sent",
        *["otp.rejected wrong_code"] * 5,
        "signin.failed too_many_attempts",
    ]

    attempts_left = [result.attempts_left for result in world.results() if isinstance(result, OtpRejected)]

    assert attempts_left == [4, 3, 2, 1, 0]


def test_a_duplicate_submission_costs_no_try(world: MailboxWorld) -> None:
    """A submission id counts once, whatever else the event holds, even after the end."""
    signin_id = world.mailed_sign_in()
    wrong = world.submit(signin_id, WRONG)
    for _ in range(100):
        world.submit(signin_id, RIGHT, submission_id=wrong)

    assert world.outcomes() == ["signin.code_sent", "otp.rejected wrong_code"]

    right = world.submit(signin_id, RIGHT)
    for _ in range(100):
        world.submit(signin_id, RIGHT, submission_id=right)

    assert world.outcomes() == [
        "signin.code_sent",
        "otp.rejected wrong_code",
        "signin.succeeded",
    ]


def test_a_charged_submission_is_remembered_through_a_flood(world: MailboxWorld) -> None:
    """600 other submissions do not displace it."""
    signin_id = world.mailed_sign_in()
    charged = world.submit(signin_id, WRONG)
    world.run_jobs()

    for _ in range(600):
        world.submit("somebody-else-000000000", "x")
    world.submit(signin_id, WRONG, submission_id=charged)

    assert world.outcomes(signin_id) == ["signin.code_sent", "otp.rejected wrong_code"]


def test_a_code_that_overtakes_its_request_waits_for_it(world: MailboxWorld) -> None:
    """The code waits for up to 10 s."""
    signin_id = "signin-early-0000000001"
    world.submit(signin_id, RIGHT)
    world.wait(9.999)
    world.sign_in(signin_id)
    assert world.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"]


def test_a_code_without_a_sign_in_is_unknown_after_ten_seconds(world: MailboxWorld) -> None:
    """The code has no result before that."""
    world.submit("signin-never-0000000001", RIGHT)
    world.wait(9.999)
    assert world.outcomes() == []
    world.wait(0.001)
    assert world.outcomes() == ["otp.rejected unknown_signin"]


def test_a_submission_that_is_read_again_has_no_second_answer() -> None:
    """One that nobody charged is remembered, too: an unknown one, and one that the lock refused."""
    world = MailboxWorld(GENEROUS)
    unknown = world.submit("signin-never-0000000001", RIGHT)
    world.wait(11)
    world.submit("signin-never-0000000001", RIGHT, submission_id=unknown)
    world.wait(11)

    assert world.outcomes() == ["otp.rejected unknown_signin"]

    for tries in (5, 3):
        world.submit_wrong(world.mailed_sign_in(), tries)
        world.run_jobs()
    signin_id = world.mailed_sign_in(network=CAFE)
    world.submit_wrong(signin_id, 2)
    world.run_jobs()
    refused = world.submit(signin_id, RIGHT)
    world.submit(signin_id, RIGHT, submission_id=refused)

    assert world.outcomes(signin_id)[1:] == ["otp.rejected wrong_code"] * 2 + ["otp.rejected locked"]


def test_at_most_32_codes_wait_for_a_sign_in(world: MailboxWorld) -> None:
    """Anybody can send such codes. Further ones are answered at once; none has two answers."""
    for _ in range(MAX_WAITING):
        world.submit(f"signin-never-{world.now.microsecond:010}", "x")
        world.wait(0.001)

    assert world.outcomes() == []

    world.submit("signin-never-0000000001", "x")

    assert world.outcomes() == ["otp.rejected unknown_signin"]

    world.wait(11)

    assert world.outcomes() == ["otp.rejected unknown_signin"] * (MAX_WAITING + 1)


def test_codes_that_wait_share_deadlines(world: MailboxWorld) -> None:
    """They end with the second, so that a flood of them does not become a flood of timers."""
    for _ in range(10):
        world.wait(0.09)
        world.submit("signin-never-0000000001", "x")

    assert {waiting.until for waiting in world.mailbox.state.waiting} == {START + timedelta(seconds=11)}


def test_a_code_that_no_try_is_left_for_does_not_wait(world: MailboxWorld) -> None:
    """A sign-in ends before its turn, so only some wait beyond its tries. No guess is gained."""
    signin_id = world.mailed_sign_in()
    world.submit_wrong(signin_id, 1_000)

    assert len(world.mailbox.state.queue) == MAX_QUEUED

    assert world.outcomes(signin_id)[1:] == ["otp.rejected wrong_code"] * 5 + ["signin.failed too_many_attempts"]


def test_every_code_for_a_live_sign_in_has_a_result() -> None:
    """Six come at once: two are compared, then the account is locked. The sign-in goes on."""
    world = MailboxWorld(GENEROUS)
    for tries in (5, 3):
        world.submit_wrong(world.mailed_sign_in(), tries)
        world.run_jobs()

    signin_id = world.mailed_sign_in(network=CAFE)
    world.submit_wrong(signin_id, 6)

    assert world.outcomes(signin_id)[1:] == ["otp.rejected wrong_code"] * 2 + ["otp.rejected locked"] * 4


def test_no_code_is_answered_before_those_that_came_earlier() -> None:
    """The account is locked by the first of many. The last one finds no place to wait (seed 526 of the simulation)."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_per_hour=1)))
    signin_id = world.mailed_sign_in()
    submissions = [world.submit(signin_id, WRONG)]
    world.take_job()
    submissions += [world.submit(signin_id, WRONG) for _ in range(MAX_QUEUED + 1)]
    world.run_jobs()
    answered = [result.submission_id for result in world.results(signin_id) if isinstance(result, OtpRejected)]

    assert answered == submissions[: len(answered)]
    assert len(answered) > 1


def test_a_duplicate_of_a_code_that_waits_for_its_turn_costs_no_try(world: MailboxWorld) -> None:
    """More others come between the two than a mailbox remembers, before it is compared."""
    signin_id = world.sign_in()
    submission_id = world.submit(signin_id, WRONG)
    for number in range(MAX_SEEN_SUBMISSIONS):
        world.submit(f"signin-never-{number:010}", WRONG)

    world.submit(signin_id, WRONG, submission_id=submission_id)

    assert world.outcomes(signin_id).count("otp.rejected wrong_code") == 1


def test_a_compare_for_a_sign_in_that_has_failed_is_not_made_again(world: MailboxWorld) -> None:
    """An error in the rules failed it in the middle of the compare; then the run was full."""
    signin_id = world.mailed_sign_in()
    world.submit(signin_id, WRONG)
    world.take_job()
    world.mailbox.abandon(signin_id, world.now)

    world.continue_as_new()

    assert world.outcomes(signin_id) == ["signin.code_sent", "signin.failed delivery_failed"]


def test_a_code_for_another_accounts_sign_in_is_unknown(world: MailboxWorld) -> None:
    """Two accounts of one mailbox differ by their tag. No try is charged (SECURITY S6)."""
    early = "signin-early-0000000001"
    signin_id = world.sign_in()
    world.submit(early, RIGHT, account=EVE)
    for _ in range(6):
        world.submit(signin_id, RIGHT, account=EVE)

    world.sign_in(early)

    assert world.outcomes().count("otp.rejected unknown_signin") == 7

    world.submit(signin_id, RIGHT)

    assert world.outcomes()[-1] == "signin.succeeded"


def test_a_sign_in_has_one_compare_at_a_time(world: MailboxWorld) -> None:
    """A thousand submissions at once get five compares, each charged before it starts (SECURITY S3)."""
    signin_id = world.mailed_sign_in()
    world.submit_wrong(signin_id, 1_000)
    compares = 0

    while jobs := [job for job in world.take_jobs() if isinstance(job, CompareCode)]:
        assert len(jobs) == 1
        assert world.mailbox.state.live[signin_id].tries == compares + 1

        world.finish(jobs[0])
        compares += 1

    assert compares == 5
    assert world.outcomes()[-1] == "signin.failed too_many_attempts"


def test_a_compare_that_could_not_be_made_costs_nothing(world: MailboxWorld) -> None:
    """Neither a try nor a failure is charged, even if the sign-in has ended meanwhile."""
    signin_id = world.mailed_sign_in()
    for _ in range(20):
        world.submit(signin_id, RIGHT)
        world.finish(world.take_job(), "unknown key")

    assert world.mailbox.status().failures_last_day == 0
    assert world.mailbox.state.live[signin_id].tries == 0

    world.submit(signin_id, RIGHT)
    compare = world.take_job()
    world.wait(300)
    world.finish(compare, "unknown key")

    assert world.mailbox.status().failures_last_day == 0
    assert world.outcomes() == ["signin.code_sent", "signin.expired"]


def test_a_code_that_was_read_in_time_succeeds_however_late_it_is_compared(world: MailboxWorld) -> None:
    """The workers were away for an hour. The success says when the code was read (SECURITY S2)."""
    signin_id = world.mailed_sign_in()
    world.wait(299)
    read_at = world.now
    world.submit(signin_id, RIGHT)
    world.wait(3_600)

    assert world.outcomes() == ["signin.code_sent", "signin.succeeded"]
    assert world.last_result().occurred_at == read_at


def test_a_code_that_was_read_before_another_signal_is_decided_before_it(world: MailboxWorld) -> None:
    """Both are delivered together, an hour late."""
    signin_id = world.mailed_sign_in()
    in_time = world.now + timedelta(seconds=299)
    world.now += timedelta(seconds=3_600)

    world.submit(signin_id, RIGHT, read_at=in_time)
    world.submit("signin-other-0000000001", "x")

    assert world.outcomes(signin_id) == ["signin.code_sent", "signin.succeeded"]


def test_a_code_that_was_read_at_the_end_is_late(world: MailboxWorld) -> None:
    """It has no result, even if the end is not published yet."""
    signin_id = world.mailed_sign_in()
    world.submit(signin_id, WRONG)
    compare = world.take_job()
    world.wait(300)
    world.submit(signin_id, RIGHT)
    world.finish(compare)

    assert world.outcomes() == ["signin.code_sent", "otp.rejected wrong_code", "signin.expired"]


def test_an_account_has_one_compare_at_a_time(world: MailboxWorld) -> None:
    """Its submissions are decided in order of arrival, whichever sign-in they are for."""
    first = world.mailed_sign_in()
    second = world.mailed_sign_in()
    other = world.mailed_sign_in(account=EVE)
    world.submit(first, WRONG)
    world.submit(second, RIGHT)
    world.submit(other, RIGHT, account=EVE)
    compares = world.take_jobs()

    assert [job.signin_ids for job in compares] == [(first,), (other,)]

    world.finish(compares[0])

    assert [job.signin_ids for job in world.take_jobs() if isinstance(job, CompareCode)] == [(second,)]
