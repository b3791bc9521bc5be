"""What continue-as-new carries into a new run, and how large it may be."""

from schemas.policy import Policy
from tests.fakes.mailbox_world import RIGHT, WRONG, MailboxWorld
from workflows.rules.jobs import PublishResults
from workflows.rules.mailbox import MAX_CARRIED_ITEMS


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
    world.issue_code()
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

    assert world.mailbox.fits_in_new_run
    assert len(world.mailbox.state.model_dump_json()) <= 64 * 1024


def test_a_mailbox_with_much_to_publish_is_not_carried_over(world: MailboxWorld) -> None:
    """While Kafka is down, its backlog must not exceed the size of a new run's input."""
    for _ in range(MAX_CARRIED_ITEMS + 1):
        world.submit("signin-never-0000000001", "x")

    assert not world.mailbox.fits_in_new_run

    world.wait(10)

    assert not world.mailbox.fits_in_new_run

    world.run_jobs()

    assert world.mailbox.fits_in_new_run
