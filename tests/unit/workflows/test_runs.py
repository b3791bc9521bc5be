"""Whatever comes in, a run of a mailbox stays small and young, and nothing is forgotten (the real workflow, driven)."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from schemas.policy import Policy
from tests.fakes import driven_mailbox
from tests.fakes.driven_mailbox import DrivenMailbox
from tests.fakes.driven_people import challenge, flood, outcomes, sign_in, spent, submission
from tests.fakes.mailbox_people import MailboxPeople
from tests.fakes.mailbox_world import EVE, RIGHT, START, WRONG, summary
from workflows import run_limits
from workflows.run_limits import LAST_AGE, LAST_EVENTS, MAX_AGE, MAX_EVENTS

SIGN_IN = "signin-000000000000001"
MAX_EVENTS_EVER = 10_000


@pytest.fixture
def mailbox() -> Iterator[DrivenMailbox]:
    """Give a mailbox that nobody has written to yet."""
    mailbox = DrivenMailbox()
    yield mailbox
    mailbox.close()


@pytest.mark.timeout(120)
def test_ten_thousand_submissions_without_a_sign_in_fill_no_run(mailbox: DrivenMailbox) -> None:
    """Each is answered, every run stays far below the limit of 51,200 events, and failures stay charged."""
    sign_in(mailbox, SIGN_IN, WRONG, WRONG, WRONG)
    before = spent(mailbox)

    flood(mailbox, 10_000, per_second=60)
    mailbox.wait(20)

    assert max(run.events for run in mailbox.runs) < MAX_EVENTS + 100
    assert spent(mailbox) == before
    assert before["failures"] == 3
    assert len({event.event_id for event in mailbox.published}) == 10_000 + 4


@pytest.mark.parametrize("mail_s", [9, 200])
def test_a_flood_beside_a_mail_fills_no_run(mail_s: float) -> None:
    """A run waits for a mail in flight, but not for ever: one may wait for the rate of all mails for minutes."""
    mailbox = DrivenMailbox(mail_s=mail_s)
    mailbox.signal(challenge(mailbox, SIGN_IN))

    flood(mailbox, 4_000, per_second=100)
    mailbox.wait(250)

    assert max(run.events for run in mailbox.runs) <= LAST_EVENTS + 1_500
    assert outcomes(mailbox, SIGN_IN)[0] == "signin.code_sent"
    assert mailbox.mails == 1

    mailbox.close()


def test_a_mail_that_was_accepted_when_a_full_run_hands_over_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A submission in the same workflow task is heard of first. Seed 68243 of the simulation."""
    monkeypatch.setattr(run_limits, "LAST_EVENTS", 0)
    people = MailboxPeople()
    people.sign_in()
    people.run.do_task()
    people.wait(10)
    people.accept_mail()
    people.submit(people.signin_id, WRONG)

    tasks = [people.run.do_task()]
    people.wait(1)
    tasks.append(people.run.do_task())

    carried = tasks[-1].carried
    assert carried is not None
    sign_in = carried.live[people.signin_id]

    assert (sign_in.sent_at, sign_in.mails) == (START + timedelta(seconds=10), [])


def test_thousands_of_signals_that_waited_for_a_worker_are_answered_once(mailbox: DrivenMailbox) -> None:
    """They fill the run before its first task. It waits for its publications before it hands over."""
    for _ in range(9_500):
        mailbox.signal(submission(mailbox))
    mailbox.wait(20)

    assert len(mailbox.runs) == 2
    assert mailbox.runs[0].events < 9_500 + 1_000
    assert len(mailbox.published) == 9_500


def test_a_flood_while_kafka_is_down_forbids_no_new_run(mailbox: DrivenMailbox) -> None:
    """Its backlog leaves the mailbox for workflows of their own, and is published in full once Kafka is back."""
    sign_in(mailbox, SIGN_IN, WRONG)
    mailbox.stop_kafka()
    flood(mailbox, 3_000, per_second=50)
    mailbox.wait(60)

    carried = [len(run.content.model_dump_json()) for run in mailbox.runs]

    assert max(run.events for run in mailbox.runs) < MAX_EVENTS_EVER
    assert max(carried) < 256 * 1024
    assert spent(mailbox)["failures"] == 1

    mailbox.start_kafka()
    mailbox.wait(120)

    unknown = [event for event in mailbox.published if summary(event.result) == "otp.rejected unknown_signin"]

    assert len({event.event_id for event in unknown}) == 3_000
    assert all(run.end is not None for run in mailbox.runs if run is not mailbox.open_run)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("publish_s", [None, 5.0], ids=["Kafka is down", "Kafka is slow"])
def test_a_flood_by_another_account_makes_no_large_input(publish_s: float | None) -> None:
    """It names a live sign-in, whose results stay in the mailbox. Its own leave a full run in parts."""
    mailbox = DrivenMailbox(publish_s=publish_s or 0.1)
    sign_in(mailbox, SIGN_IN)
    if publish_s is None:
        mailbox.stop_kafka()

    for _ in range(6_000):
        mailbox.signal(submission(mailbox, SIGN_IN, account=EVE))
        mailbox.wait(0.01)
    mailbox.wait(230)
    sizes = [len(run.content.model_dump_json()) for run in mailbox.runs]
    mailbox.close()

    assert max(sizes) < 256 * 1024


def test_a_flood_as_large_as_what_leaves_does_not_hold_up_the_hand_over(
    mailbox: DrivenMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Kafka is down, each workflow task brings almost as many submissions as a new run may be given."""
    monkeypatch.setattr(driven_mailbox, "_TASK", timedelta(milliseconds=100))
    mailbox.policy = Policy(signals_per_run=100)
    mailbox.stop_kafka()
    flood(mailbox, 4_000, per_second=450)

    assert max(run.events for run in mailbox.runs) < MAX_EVENTS + 1_000


def test_workflows_for_a_backlog_have_short_ids(mailbox: DrivenMailbox) -> None:
    """Kafka takes nothing for a month, so they too hand over: a workflow's id has 1,000 characters at most."""
    mailbox.stop_kafka()
    flood(mailbox, 1_200, per_second=50)
    mailbox.wait(30 * MAX_AGE.total_seconds())

    assert max(len(run.workflow_id) for run in mailbox.runs) < 100


def test_locked_answers_of_one_sign_in_fill_no_run(mailbox: DrivenMailbox) -> None:
    """They used to go out one by one, each in an activity of its own."""
    for number in range(3):
        sign_in(mailbox, f"signin-{number:016}", *[WRONG] * 4)

    for _ in range(2_000):
        mailbox.signal(submission(mailbox, f"signin-{2:016}"))
        mailbox.wait(0.05)

    assert "otp.rejected locked" in outcomes(mailbox, f"signin-{2:016}")
    assert max(run.events for run in mailbox.runs) < MAX_EVENTS + 100


def test_at_rest_a_run_hands_over_after_a_day(mailbox: DrivenMailbox) -> None:
    """Somebody who signs in every 21.6 hours kept one run open for months."""
    for number in range(30):
        sign_in(mailbox, f"signin-{number:016}", RIGHT)
        mailbox.wait(timedelta(hours=21.6).total_seconds())

    ages = [(run.ended_at or mailbox.now) - run.started_at for run in mailbox.runs]

    assert max(ages) <= MAX_AGE + timedelta(minutes=1)
    assert all(run.events < 100 for run in mailbox.runs)


def test_a_mailbox_that_is_about_to_end_hands_nothing_over(mailbox: DrivenMailbox) -> None:
    """It lives for a day after its last mail, so a new run would live for seconds."""
    sign_in(mailbox, SIGN_IN, RIGHT)
    mailbox.wait(2 * MAX_AGE.total_seconds())

    (run,) = mailbox.runs

    assert run.end == "complete_workflow_execution"


def test_a_run_that_never_rests_hands_over_all_the_same(mailbox: DrivenMailbox) -> None:
    """While Kafka takes nothing for days, a result waits; the run is replaced though."""
    mailbox.stop_kafka()
    sign_in(mailbox, SIGN_IN, RIGHT)
    mailbox.wait(3 * MAX_AGE.total_seconds())

    ages = [(run.ended_at or mailbox.now) - run.started_at for run in mailbox.runs]

    assert max(ages) <= LAST_AGE + timedelta(minutes=1)

    mailbox.start_kafka()
    mailbox.wait(10)

    assert outcomes(mailbox, SIGN_IN) == ["signin.code_sent", "signin.succeeded"]
