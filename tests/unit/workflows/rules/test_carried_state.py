"""What continue-as-new carries into a new run, and how large it may be."""

from schemas.policy import Policy
from tests.fakes.mailbox_world import EVE, RIGHT, WRONG, MailboxWorld
from workflows.rules.jobs import PublishResults
from workflows.rules.outbox import MAX_CARRIED_RESULTS, MAX_OVERFLOW_RESULTS
from workflows.rules.submissions import MAX_WAITING


def test_a_new_run_knows_all_that_the_old_one_knew(world: MailboxWorld) -> None:
    """It knows sign-ins, tries and budgets, submissions, and unpublished results."""
    early = "signin-early-0000000001"
    over = world.mailed_sign_in()
    live = world.mailed_sign_in()
    duplicate = world.submit(live, WRONG)
    world.submit(over, RIGHT)
    world.run_jobs()
    world.submit(live, WRONG)
    world.submit(early, RIGHT)

    world.continue_as_new()

    world.submit(live, WRONG, submission_id=duplicate)
    world.submit(over, RIGHT)
    world.sign_in(early)
    world.submit_wrong(live, 3)

    assert world.outcomes(live)[-1] == "signin.failed too_many_attempts"
    assert world.outcomes(live).count("otp.rejected wrong_code") == 5
    assert world.outcomes(early) == ["signin.code_sent", "signin.succeeded"]
    assert world.outcomes(over) == ["signin.code_sent", "signin.succeeded"]


def test_a_new_run_repeats_the_publications_in_flight(world: MailboxWorld) -> None:
    """The repeat has the same ids and bytes, so consumers drop it."""
    world.sign_in()
    world.finish(world.take_job())
    before = world.take_job()

    world.continue_as_new()
    after = world.take_job()

    assert isinstance(before, PublishResults)
    assert before == after


def test_the_carried_state_is_at_most_64_kib() -> None:
    """A flood of requests and codes, with long ids and addresses, stays within the limit."""
    world = MailboxWorld(Policy())
    long_address = "a" * 64 + "@" + "b" * 200 + ".example"

    for _ in range(200):
        world.wait(61)
        signin_id = world.sign_in(f"{world.now.timestamp():064.0f}", email=long_address)
        for _ in range(6):
            world.submit(signin_id, WRONG * 10)
        world.submit("x" * 64, WRONG * 10)
        world.run_jobs()

    assert len(world.mailbox.state.model_dump_json()) <= 64 * 1024


def test_what_is_too_much_for_a_new_run_leaves_in_order(world: MailboxWorld) -> None:
    """While Kafka takes nothing, its backlog must not make a new run's input too large.

    Results of a sign-in that is live stay, because others will follow them.
    """
    live = world.mailed_sign_in()
    world.submit(live, WRONG)
    for _ in range(MAX_WAITING + MAX_CARRIED_RESULTS + MAX_OVERFLOW_RESULTS - 10):
        world.submit("signin-never-0000000001", "x")
    for _ in range(10):
        world.submit(live, WRONG, account=EVE)
    for job in world.take_jobs():
        if not isinstance(job, PublishResults):
            world.finish(job)
    backlog = world.mailbox.status().unpublished

    overflow = world.mailbox.take_overflow(world.now)

    assert overflow is not None
    assert live not in overflow.outbox
    assert backlog - world.mailbox.status().unpublished == sum(map(len, overflow.outbox.values()))
    assert world.mailbox.take_overflow(world.now) is None

    for job in list(world.jobs):
        world.finish(job)
    kept = MailboxWorld(state=overflow)

    assert kept.outcomes() == ["otp.rejected unknown_signin"] * MAX_OVERFLOW_RESULTS
    assert kept.mailbox.is_done(kept.now)


def test_a_small_backlog_is_carried_over(world: MailboxWorld) -> None:
    """It needs no workflow of its own."""
    for _ in range(MAX_WAITING + MAX_CARRIED_RESULTS):
        world.submit("signin-never-0000000001", "x")

    assert world.mailbox.status().unpublished == MAX_CARRIED_RESULTS
    assert world.mailbox.take_overflow(world.now) is None
