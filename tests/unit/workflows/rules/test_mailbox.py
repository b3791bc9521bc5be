"""The rules of a mailbox, told as stories."""

import uuid
from datetime import timedelta

import pytest

from schemas.policy import LimitPolicy, OtpPolicy, Policy
from schemas.results import CodeSent, OtpRejected, ResendRefused, SignInRejected
from tests.fakes.mailbox_world import CAFE, EVE, HOME, RIGHT, MailboxWorld, in_short
from workflows.rules.attempts import MAX_LIVE_SIGN_INS
from workflows.rules.jobs import CompareCode, IssueCode, PublishResults, SendMail
from workflows.rules.mailbox import MAX_CARRIED_ITEMS

GENEROUS = Policy(limits=LimitPolicy(sends_per_hour=1_000, sends_per_day=2_000))


@pytest.fixture
def world() -> MailboxWorld:
    """Give an empty mailbox under the default rules."""
    return MailboxWorld()


def test_the_right_code_in_time_succeeds(world: MailboxWorld) -> None:
    """One mail, one code, one success."""
    signin_id = world.sign_in()
    world.work()
    world.submit(signin_id, RIGHT)
    assert world.said() == ["signin.code_sent", "signin.succeeded"]


def test_a_code_sent_says_when_it_expires_and_when_it_can_be_sent_again(world: MailboxWorld) -> None:
    """300 s from the issue, 60 s from the last mail."""
    world.sign_in()
    result = world.last()
    assert isinstance(result, CodeSent)
    assert (result.expires_at - world.now).total_seconds() == 300
    assert (result.resend_after - world.now).total_seconds() == 60


def test_the_fifth_wrong_code_fails_the_sign_in(world: MailboxWorld) -> None:
    """Tries count down to 0, then the terminal result; the right code comes too late."""
    signin_id = world.sign_in()
    for _ in range(5):
        world.submit(signin_id, "wrong")
    world.submit(signin_id, RIGHT)
    assert world.said() == ["signin.code_sent"] + ["otp.rejected wrong_code"] * 5 + ["signin.failed too_many_attempts"]
    left = [one.attempts_left for one in world.results() if isinstance(one, OtpRejected)]
    assert left == [4, 3, 2, 1, 0]


def test_exactly_at_its_end_a_sign_in_has_expired(world: MailboxWorld) -> None:
    """A moment before, the code is good; at the limit it is not (SECURITY S2)."""
    early, late = world.sign_in(), world.sign_in()
    world.work()
    world.wait(299.999)
    world.submit(early, RIGHT)
    world.work()
    world.wait(0.001)
    world.submit(late, RIGHT)

    assert world.said(early)[-1] == "signin.succeeded"
    assert world.said(late)[-1] == "signin.expired"


def test_a_signal_after_the_end_finds_the_sign_in_expired_though_no_timer_fired(world: MailboxWorld) -> None:
    """A worker that was away must not let an old code pass."""
    signin_id = world.sign_in()
    world.work()
    world.now += timedelta(seconds=300)
    world.submit(signin_id, RIGHT)
    assert world.said()[-1] == "signin.expired"


def test_no_mail_accepted_by_the_end_is_a_failed_delivery(world: MailboxWorld) -> None:
    """The person never had a code, so nothing expired."""
    world.sign_in()
    world.end(world.take()[0])
    (mail,) = world.take()
    world.end(mail, "again")
    world.wait(300)
    assert world.said() == ["signin.failed delivery_failed"]


def test_a_mail_is_tried_again_with_growing_pauses(world: MailboxWorld) -> None:
    """After 2, 4, 8, 16, then every 30 s, and charged once."""
    world.sign_in()
    world.end(world.take()[0])
    pauses = []

    for _ in range(6):
        (mail,) = world.take()
        world.end(mail, "again")
        deadline = world.mailbox.next_deadline(world.now)

        assert deadline is not None

        pauses.append((deadline - world.now).total_seconds())

        assert world.take() == []

        world.wait(pauses[-1])

    assert pauses == [2, 4, 8, 16, 30, 30]
    assert world.mailbox.status().mails_last_day == 1
    assert world.said() == ["signin.code_sent"]


def test_a_refused_mail_ends_the_sign_in(world: MailboxWorld) -> None:
    """A 5xx answer will not change."""
    world.sign_in()
    world.end(world.take()[0])
    world.end(world.take()[0], "never")
    assert world.said() == ["signin.failed delivery_failed"]


def test_a_mail_accepted_after_the_end_says_nothing(world: MailboxWorld) -> None:
    """The terminal result is the last one."""
    world.sign_in()
    world.end(world.take()[0])
    (mail,) = world.take()
    world.wait(300)
    world.end(mail)
    assert world.said() == ["signin.failed delivery_failed"]


def test_a_mail_failing_after_the_end_says_nothing(world: MailboxWorld) -> None:
    """Whether it may be tried again or not."""
    for fault in ("again", "never"):
        world.sign_in()
        world.end(world.take()[0])
        (mail,) = [job for job in world.take() if isinstance(job, SendMail)]
        world.wait(300)
        world.end(mail, fault)
    assert world.said() == ["signin.failed delivery_failed"] * 2


def test_a_code_issued_after_the_end_is_of_no_use(world: MailboxWorld) -> None:
    """Nothing is mailed."""
    world.sign_in()
    (issue,) = world.take()
    assert isinstance(issue, IssueCode)
    world.wait(300)
    world.end(issue)
    assert world.said() == ["signin.failed delivery_failed"]


def test_send_again_sends_the_same_code_and_does_not_prolong_it(world: MailboxWorld) -> None:
    """Same nonce, same key, same end, next attempt (SECURITY S10)."""
    signin_id = world.sign_in()
    world.work()
    world.wait(60)
    world.attempt(signin_id, 2)
    (mail,) = world.take()

    assert isinstance(mail, SendMail)
    assert (mail.task.nonce, mail.task.attempt) == (f"nonce-{signin_id}", 2)

    world.end(mail)
    world.work()
    first, second = (one for one in world.results() if isinstance(one, CodeSent))

    assert second.expires_at == first.expires_at
    assert second.attempt == 2


def test_send_again_does_not_give_tries_back(world: MailboxWorld) -> None:
    """A new mail is no new budget."""
    signin_id = world.sign_in()
    for _ in range(4):
        world.submit(signin_id, "wrong")

    world.work()
    world.wait(60)
    world.attempt(signin_id, 2)
    world.submit(signin_id, "wrong")

    assert world.said()[-2:] == ["otp.rejected wrong_code", "signin.failed too_many_attempts"]


@pytest.mark.parametrize(
    ("wait_s", "changes", "reason", "retry_after_s"),
    [
        (59, {}, "throttled", 1),
        (10.5, {}, "throttled", 50),
        (100, {"account": EVE}, "account_mismatch", None),
        (241, {}, "expiring", None),
    ],
)
def test_send_again_is_refused_and_the_sign_in_goes_on(
    world: MailboxWorld, wait_s: float, changes: dict[str, str], reason: str, retry_after_s: int | None
) -> None:
    """Within the cooldown, for another account, too close to the end."""
    signin_id = world.sign_in()
    world.work()
    world.wait(wait_s)
    world.attempt(signin_id, 2, **changes)
    result = world.last()

    assert isinstance(result, ResendRefused)
    assert (result.reason, result.retry_after_s, result.attempt) == (reason, retry_after_s, 2)

    world.submit(signin_id, RIGHT)

    assert world.said()[-1] == "signin.succeeded"


def test_send_again_at_the_last_moment_that_makes_sense(world: MailboxWorld) -> None:
    """With exactly 60 s left it is accepted."""
    signin_id = world.sign_in()
    world.work()
    world.wait(240)
    world.attempt(signin_id, 2)
    assert world.said() == ["signin.code_sent"] * 2


def test_a_stale_request_to_send_again_is_refused(world: MailboxWorld) -> None:
    """It lay in Kafka too long."""
    born_at = world.now
    world.wait(200)
    signin_id = world.sign_in()
    world.work()
    world.wait(101)
    world.attempt(signin_id, 2, born_at=born_at)
    assert in_short(world.last()) == "signin.resend_refused stale"


def test_word_of_a_bad_attempt_is_published_in_order(world: MailboxWorld) -> None:
    """Once, and not after the end."""
    signin_id = world.sign_in()
    world.work()
    world.refuse(signin_id, 2)
    world.refuse(signin_id, 2)
    world.attempt(signin_id, 2)
    world.submit(signin_id, RIGHT)
    world.work()
    world.refuse(signin_id, 3)

    assert world.said() == ["signin.code_sent", "signin.resend_refused challenge_failed", "signin.succeeded"]


def test_a_refused_attempt_spends_nothing(world: MailboxWorld) -> None:
    """A suppressed mail prolongs no window (SECURITY S5)."""
    signin_id = world.sign_in()
    world.work()
    for attempt in range(2, 20):
        world.attempt(signin_id, attempt)
    world.wait(60)
    world.attempt(signin_id, 20)
    assert world.said()[-1] == "signin.code_sent"


def test_a_duplicate_of_an_attempt_changes_nothing(world: MailboxWorld) -> None:
    """While the sign-in is live and after its end."""
    signin_id = world.sign_in()
    world.sign_in(signin_id)
    world.work()
    world.wait(60)
    world.attempt(signin_id, 2)
    world.attempt(signin_id, 2)
    world.submit(signin_id, RIGHT)
    world.work()
    world.sign_in(signin_id)
    world.attempt(signin_id, 3)

    assert world.said() == ["signin.code_sent"] * 2 + ["signin.succeeded"]


def test_a_duplicate_of_a_submission_costs_no_try(world: MailboxWorld) -> None:
    """Whatever else it holds (CONTRACT), while live and after the end."""
    signin_id = world.sign_in()
    submission_id = world.submit(signin_id, "wrong")
    for _ in range(100):
        world.submit(signin_id, RIGHT, submission_id=submission_id)

    assert world.said() == ["signin.code_sent", "otp.rejected wrong_code"]

    right = world.submit(signin_id, RIGHT)
    for _ in range(100):
        world.submit(signin_id, RIGHT, submission_id=right)

    assert world.said() == ["signin.code_sent", "otp.rejected wrong_code", "signin.succeeded"]


def test_a_charged_submission_is_remembered_through_a_flood(world: MailboxWorld) -> None:
    """Others can't drive it out of the ring."""
    signin_id = world.sign_in()
    submission_id = world.submit(signin_id, "wrong")
    world.work()
    for _ in range(600):
        world.submit("somebody-else-000000000", "x")
    world.submit(signin_id, "wrong", submission_id=submission_id)
    assert world.said(signin_id) == ["signin.code_sent", "otp.rejected wrong_code"]


def test_a_code_that_overtakes_its_request_waits_for_it(world: MailboxWorld) -> None:
    """Up to 10 s."""
    world.submit("signin-early-0000000001", RIGHT)
    world.wait(9.999)
    signin_id = world.sign_in("signin-early-0000000001")
    assert world.said(signin_id) == ["signin.code_sent", "signin.succeeded"]


def test_a_code_without_a_sign_in_is_unknown_after_ten_seconds(world: MailboxWorld) -> None:
    """Not before."""
    world.submit("signin-never-0000000001", RIGHT)
    world.wait(9.999)
    assert world.said() == []
    world.wait(0.001)
    assert world.said() == ["otp.rejected unknown_signin"]


def test_another_accounts_sign_in_is_unknown_at_once(world: MailboxWorld) -> None:
    """A tag makes another account of the same mailbox; no try is charged (SECURITY S6)."""
    signin_id = world.sign_in()
    world.submit("signin-early-0000000001", RIGHT, account=EVE)
    for _ in range(6):
        world.submit(signin_id, RIGHT, account=EVE)

    world.sign_in("signin-early-0000000001")

    assert world.said().count("otp.rejected unknown_signin") == 7

    world.submit(signin_id, RIGHT)

    assert world.said()[-1] == "signin.succeeded"


def test_one_compare_at_a_time(world: MailboxWorld) -> None:
    """A thousand submissions at once get five compares, each charged before it began (SECURITY S3)."""
    signin_id = world.sign_in()
    world.work()
    for _ in range(1_000):
        world.submit(signin_id, "wrong")

    compares = 0

    while jobs := [job for job in world.take() if isinstance(job, CompareCode)]:
        assert len(jobs) == 1
        assert world.mailbox.state.live[signin_id].tries == compares + 1

        world.end(jobs[0])
        compares += 1

    assert compares == 5
    assert world.said()[-1] == "signin.failed too_many_attempts"


def test_twenty_sign_ins_at_once_get_ten_compares_in_an_hour(world: MailboxWorld) -> None:
    """The account's budget holds across sign-ins (SECURITY S4)."""
    world = MailboxWorld(GENEROUS)
    signin_ids = [world.sign_in() for _ in range(20)]
    world.work()
    for signin_id in signin_ids * 5:
        world.submit(signin_id, "wrong")

    said = world.said()

    assert said.count("otp.rejected wrong_code") == 10
    assert said.count("otp.rejected locked") == 90


def test_a_locked_account_is_told_so_and_sent_nothing(world: MailboxWorld) -> None:
    """No compare, no try, no new code, no code again; the hour over, all is well."""
    for network in (HOME, CAFE):
        signin_id = world.sign_in(network=network)
        for _ in range(5):
            world.submit(signin_id, "wrong")
        world.work()

    locked = world.last_of(world.sign_in())

    assert isinstance(locked, SignInRejected)
    assert (locked.reason, locked.retry_after_s) == ("locked", 3_600)

    world.wait(3_600)
    signin_id = world.sign_in()
    world.submit(signin_id, RIGHT)

    assert world.said(signin_id) == ["signin.code_sent", "signin.succeeded"]


def test_a_lock_that_comes_while_a_sign_in_is_live(world: MailboxWorld) -> None:
    """Its right code is refused, its resend too, and no try is charged."""
    first, second, third = world.sign_in(), world.sign_in(network=CAFE), world.sign_in()
    for signin_id in (first, second):
        for _ in range(5):
            world.submit(signin_id, "wrong")

    world.work()
    world.submit(third, RIGHT)
    result = world.last()

    assert isinstance(result, OtpRejected)
    assert (result.reason, result.attempts_left, result.retry_after_s) == ("locked", 5, 3_600)

    world.wait(60)
    world.attempt(third, 2)

    assert in_short(world.last()) == "signin.resend_refused locked"


def test_the_right_code_gives_the_failures_back(world: MailboxWorld) -> None:
    """All of them (SECURITY S4)."""
    for _ in range(2):
        signin_id = world.sign_in()
        for _ in range(4):
            world.submit(signin_id, "wrong")
        world.submit(signin_id, RIGHT)
    world.work()
    assert world.mailbox.status().failures_last_day == 0


def test_a_compare_that_could_not_be_made_costs_nothing(world: MailboxWorld) -> None:
    """Neither try nor failure; nor after the sign-in has ended."""
    signin_id = world.sign_in()
    world.work()
    for _ in range(20):
        world.submit(signin_id, RIGHT)
        (compare,) = world.take()
        world.end(compare, "unknown key")

    assert world.mailbox.status().failures_last_day == 0
    assert world.mailbox.state.live[signin_id].tries == 0

    world.submit(signin_id, RIGHT)
    (compare,) = world.take()
    world.wait(300)
    world.end(compare, "unknown key")

    assert world.mailbox.status().failures_last_day == 0
    assert world.said() == ["signin.code_sent", "signin.expired"]


def test_a_verdict_after_the_end_says_nothing(world: MailboxWorld) -> None:
    """The terminal result is the last one."""
    signin_id = world.sign_in()
    world.work()
    world.submit(signin_id, RIGHT)
    (compare,) = world.take()
    world.wait(300)
    world.end(compare)
    assert world.said() == ["signin.code_sent", "signin.expired"]


def test_five_mails_an_hour_and_twenty_a_day(world: MailboxWorld) -> None:
    """Across sign-ins; a network gets half of a day's (SECURITY S9)."""
    for _ in range(5):
        world.sign_in()

    throttled = world.last_of(world.sign_in())

    assert isinstance(throttled, SignInRejected)
    assert (throttled.reason, throttled.retry_after_s) == ("throttled", 3_600)

    world.wait(3_599)

    assert in_short(world.last_of(world.sign_in())) == "signin.rejected throttled"

    world.wait(1)
    for _ in range(5):
        world.sign_in()

    world.work()
    world.wait(3_600)

    assert in_short(world.last_of(world.sign_in())) == "signin.rejected throttled"
    assert in_short(world.last_of(world.sign_in(network=CAFE))) == "signin.code_sent"


def test_a_trusted_device_has_budgets_of_its_own(world: MailboxWorld) -> None:
    """A stranger can lock himself out, not the owner (SECURITY S5)."""
    for _ in range(2):
        signin_id = world.sign_in()
        for _ in range(5):
            world.submit(signin_id, "wrong")

    for _ in range(3):
        world.sign_in()

    world.work()
    owner = world.sign_in(trusted=True)
    world.submit(owner, RIGHT)

    assert world.said(owner) == ["signin.code_sent", "signin.succeeded"]


def test_one_network_cannot_lock_the_others_out(world: MailboxWorld) -> None:
    """Ten failures from one network lock that network for a day, another one is free after the hour."""
    for _ in range(2):
        signin_id = world.sign_in()
        for _ in range(5):
            world.submit(signin_id, "wrong")

    world.work()
    world.wait(3_600)

    assert in_short(world.last_of(world.sign_in(network=CAFE))) == "signin.code_sent"

    world.wait(1)

    for _ in range(9):
        world.sign_in()
        world.work()
        world.wait(3_600)

    assert world.mailbox.status().failures_last_day == 10


def test_a_row_of_failures_is_a_hard_stop_that_lapses() -> None:
    """After the set number in a row nothing goes for a day after the last failure."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_in_a_row=7)))
    for _ in range(2):
        signin_id = world.sign_in()
        for _ in range(5):
            world.submit(signin_id, "wrong")

    world.work()

    assert world.mailbox.status().failures_last_day == 7

    world.wait(86_399)

    assert in_short(world.last_of(world.sign_in())) == "signin.rejected locked"

    world.wait(1)

    assert in_short(world.last_of(world.sign_in())) == "signin.code_sent"


def test_a_row_of_failures_counts_only_what_was_compared() -> None:
    """What could not be compared is no failure in a row either."""
    world = MailboxWorld(Policy(limits=LimitPolicy(failures_in_a_row=2)))
    signin_id = world.sign_in()
    world.work()
    for _ in range(5):
        world.submit(signin_id, RIGHT)
        world.end(world.take()[0], "unknown key")

    world.submit(signin_id, "wrong")
    world.submit(signin_id, RIGHT)

    assert world.said()[-2:] == ["otp.rejected wrong_code", "signin.succeeded"]


def test_a_mailbox_has_room_for_64_sign_ins() -> None:
    """More are throttled until one ends."""
    world = MailboxWorld(GENEROUS)
    for _ in range(MAX_LIVE_SIGN_INS):
        world.sign_in()
    throttled = world.last_of(world.sign_in())
    assert isinstance(throttled, SignInRejected)
    assert (throttled.reason, throttled.retry_after_s) == ("throttled", 300)


def test_a_stale_request_is_rejected_and_what_waited_for_it_has_no_result(world: MailboxWorld) -> None:
    """A worker that was away for an hour sends no old mails."""
    born_at = world.now
    world.wait(301)
    world.submit("signin-stale-0000000001", RIGHT)
    world.sign_in("signin-stale-0000000001", born_at=born_at)
    world.wait(60)
    world.submit("signin-stale-0000000001", RIGHT)
    world.wait(60)

    assert world.said() == ["signin.rejected stale"]
    assert world.mailbox.status().mails_last_day == 0


def test_a_request_that_goes_stale_before_its_first_mail_is_rejected() -> None:
    """The key was missing for too long; afterwards no mail goes out."""
    world = MailboxWorld(Policy(otp=OtpPolicy(lifetime_s=600)))
    signin_id = world.sign_in()
    (issue,) = world.take()
    world.wait(301)
    world.end(issue)
    assert world.said(signin_id) == ["signin.rejected stale"]


def test_a_mail_that_waits_in_the_queue_or_was_tried_is_not_stale() -> None:
    """Only what was never tried is."""
    world = MailboxWorld(Policy(otp=OtpPolicy(lifetime_s=600)))
    world.sign_in()
    world.end(world.take()[0])
    (mail,) = world.take()
    world.wait(301)

    assert world.take() == []

    world.end(mail, "again")
    world.wait(10)

    assert world.said() == ["signin.code_sent"]


def test_a_result_belongs_to_the_trace_of_the_attempt_that_it_answers(world: MailboxWorld) -> None:
    """Sent again, refused again: not to that of the first attempt. What a code leads to belongs to the sign-in's."""
    signin_id = world.sign_in(traceparent="first")
    world.work()
    world.attempt(signin_id, 2, traceparent="too-early")
    world.wait(60)
    world.attempt(signin_id, 3, traceparent="again")
    world.work()
    world.submit(signin_id, "wrong")
    world.work()
    told = [(in_short(one.result), one.traceparent) for one in world.published]

    assert told == [
        ("signin.code_sent", "first"),
        ("signin.resend_refused throttled", "too-early"),
        ("signin.code_sent", "again"),
        ("otp.rejected wrong_code", "first"),
    ]


def test_results_of_a_sign_in_go_out_one_at_a_time(world: MailboxWorld) -> None:
    """The next only when the one before was acknowledged; another sign-in's meanwhile."""
    one, other = world.sign_in(), world.sign_in()
    for _ in range(2):
        for job in world.take():
            world.end(job)

    world.submit(one, "wrong")
    (compare, both) = world.take()

    assert isinstance(both, PublishResults)
    assert both.signin_ids == (one, other)

    world.end(compare)

    assert world.take() == []

    world.end(both)
    (publication,) = world.take()

    assert isinstance(publication, PublishResults)
    assert [in_short(event.result) for event in publication.events] == ["otp.rejected wrong_code"]
    assert world.jobs == [publication]


def test_a_flood_of_results_is_a_handful_of_publications(world: MailboxWorld) -> None:
    """Of 64 each; a server has no place for more than 2,000 activities of one workflow, and says so for ever."""
    for _ in range(5_000):
        world.submit(f"signin-{uuid.uuid4().hex}", "x")

    world.wait(10)
    publications = world.take()

    assert [len(job.events) for job in publications if isinstance(job, PublishResults)] == [64] * 64

    world.end(publications[0])

    assert len(world.take()) == 1

    world.work()

    assert len({one.signin_id for one in world.results()}) == 5_000


def test_results_that_come_one_by_one_while_kafka_is_away_do_not_pile_up_as_publications(world: MailboxWorld) -> None:
    """Each would be an activity that is tried again until Kafka is back."""
    for _ in range(100):
        world.submit(f"signin-{uuid.uuid4().hex}", "x")
        world.wait(10)
        world.take()
    assert len(world.jobs) == 64


def test_a_new_run_knows_all_that_the_old_one_knew(world: MailboxWorld) -> None:
    """Live sign-ins, tries, budgets, what was seen, what is over, what waits, what is unpublished."""
    over, live = world.sign_in(), world.sign_in()
    world.work()
    duplicate = world.submit(live, "wrong")
    world.submit(over, RIGHT)
    world.work()
    world.submit(live, "wrong")
    world.submit("signin-early-0000000001", RIGHT)
    world.continue_as_new()
    world.submit(live, "wrong", submission_id=duplicate)
    world.submit(over, RIGHT)
    world.sign_in("signin-early-0000000001")
    for _ in range(3):
        world.submit(live, "wrong")

    assert world.said(live)[-1] == "signin.failed too_many_attempts"
    assert world.said(live).count("otp.rejected wrong_code") == 5
    assert world.said("signin-early-0000000001") == ["signin.code_sent", "signin.succeeded"]
    assert world.said(over) == ["signin.code_sent", "signin.succeeded"]


def test_a_publication_on_its_way_is_made_again_by_the_new_run(world: MailboxWorld) -> None:
    """With the same id and bytes, so that consumers drop it."""
    world.sign_in()
    world.end(world.take()[0])
    world.end(world.take()[0])
    (before,) = world.take()
    world.continue_as_new()
    (after,) = world.take()

    assert isinstance(before, PublishResults)
    assert before == after


def test_the_carried_state_is_small() -> None:
    """At most 64 KiB at the default settings, after a flood of everything."""
    world = MailboxWorld()
    for _ in range(200):
        world.wait(61)
        signin_id = world.sign_in(f"{world.now.timestamp():064.0f}", email="a" * 64 + "@" + "b" * 200 + ".example")
        for _ in range(6):
            world.submit(signin_id, "wrong" * 10)

        world.submit("x" * 64, "wrong" * 10)
        world.work()

    assert world.mailbox.fits_in_new_run
    assert len(world.mailbox.state.model_dump_json()) <= 64 * 1024


def test_a_mailbox_with_much_unsaid_is_not_carried(world: MailboxWorld) -> None:
    """Kafka is away; what waits for it must not burst the next run's input."""
    for _ in range(MAX_CARRIED_ITEMS + 1):
        world.submit("signin-never-0000000001", "x")
    assert not world.mailbox.fits_in_new_run
    world.wait(10)
    assert not world.mailbox.fits_in_new_run
    world.work()
    assert world.mailbox.fits_in_new_run


def test_held_jobs_do_not_start(world: MailboxWorld) -> None:
    """Before continue-as-new no mail and, at last, no compare is begun; nor is time awaited for them."""
    signin_id = world.sign_in()
    world.work()
    world.submit(signin_id, RIGHT)
    world.wait(60)
    world.attempt(signin_id, 2)

    assert world.take(hold_mails=True, hold_compares=True) == []

    deadline = world.mailbox.next_deadline(world.now)

    assert deadline is not None
    assert (deadline - world.now).total_seconds() == 240

    kinds = {type(job) for job in world.take()}

    assert kinds == {SendMail, CompareCode}
    assert world.mailbox.is_sending
    assert world.mailbox.is_comparing


def test_a_mailbox_ends_when_its_budgets_have_forgotten(world: MailboxWorld) -> None:
    """A day after the last mail; one that only saw an unknown sign-in, when duplicates can't come any more."""
    world.submit("signin-never-0000000001", RIGHT)
    world.wait(10)
    world.work()

    assert (world.mailbox.next_deadline(world.now) or world.now) - world.now == timedelta(seconds=590)

    world.sign_in()
    world.wait(300)

    assert not world.mailbox.is_done(world.now)

    world.work()
    world.wait(86_400 - 301)

    assert not world.mailbox.is_done(world.now)
    assert (world.mailbox.next_deadline(world.now) or world.now) - world.now == timedelta(seconds=1)

    world.wait(1)

    assert world.mailbox.is_done(world.now)


def test_an_abandoned_sign_in_fails_once(world: MailboxWorld) -> None:
    """A sign-in whose rules failed gets its terminal result; abandoning twice or the unknown says nothing."""
    signin_id = world.sign_in()
    world.work()
    world.mailbox.abandon(signin_id, world.now)
    world.mailbox.abandon(signin_id, world.now)
    assert world.said() == ["signin.code_sent", "signin.failed delivery_failed"]
