"""Results on their way out: in order for each sign-in, in batches for the mailbox."""

import uuid

from tests.fakes.mailbox_world import CAFE, EVE, GENEROUS, HOME, WRONG, MailboxWorld, summary
from workflows.rules.jobs import PublishResults
from workflows.rules.outbox import MAX_LOCKED_ANSWERS
from workflows.rules.pace import INTERVAL, PUBLICATIONS_AT_ONCE, Pace
from workflows.rules.submissions import MAX_WAITING


def test_a_result_belongs_to_the_trace_of_the_attempt_that_it_answers(
    world: MailboxWorld,
) -> None:
    """Results of a later attempt have its trace; results of a code have the sign-in's."""
    signin_id = world.mailed_sign_in(traceparent="first")
    world.attempt(signin_id, 2, traceparent="too-early")
    world.wait(60)
    world.attempt(signin_id, 3, traceparent="again")
    world.run_jobs()
    world.submit(signin_id, WRONG)
    world.run_jobs()

    traces = [(summary(event.result), event.traceparent) for event in world.published]

    assert traces == [
        ("signin.code_sent", "first"),
        ("signin.resend_refused throttled", "too-early"),
        ("signin.code_sent", "again"),
        ("otp.rejected wrong_code", "first"),
    ]


def test_a_result_goes_out_when_the_one_before_it_was_acknowledged(world: MailboxWorld) -> None:
    """Meanwhile other sign-ins publish theirs."""
    first = world.sign_in()
    second = world.sign_in()
    for job in world.take_jobs():
        world.finish(job)

    world.submit(first, WRONG)
    compare, both = world.take_jobs()

    assert isinstance(both, PublishResults)
    assert both.signin_ids == (first, second)

    world.finish(compare)

    assert world.take_jobs() == []

    world.finish(both)
    publication = world.take_job()

    assert isinstance(publication, PublishResults)
    assert [summary(event.result) for event in publication.events] == ["otp.rejected wrong_code"]
    assert world.jobs == [publication]


def test_results_of_one_sign_in_go_out_together_in_order(world: MailboxWorld) -> None:
    """One activity for each would be a flood of activities."""
    signin_id = world.mailed_sign_in()
    for attempt in range(2, 20):
        world.attempt(signin_id, attempt)

    publication = world.take_job()

    assert isinstance(publication, PublishResults)
    assert [getattr(event.result, "attempt", 0) for event in publication.events] == list(range(2, 20))


def test_unknown_sign_ins_are_told_of_in_any_order(world: MailboxWorld) -> None:
    """So a flood of them about one sign-in waits for nothing, and leaves a full run in parts."""
    live = world.mailed_sign_in()
    for _ in range(100):
        world.submit(live, WRONG, account=EVE)

    publications = [job for job in world.take_jobs() if isinstance(job, PublishResults)]

    assert [len(job.events) for job in publications] == [64, 36]
    assert live not in world.mailbox.state.outbox


def test_a_flood_of_results_is_64_publications_of_64_results(world: MailboxWorld) -> None:
    """A server fails a workflow task that would leave more than 2,000 activities pending."""
    for _ in range(5_000):
        world.submit(f"signin-{uuid.uuid4().hex}", "x")

    publications = world.take_jobs()

    assert [len(job.events) for job in publications if isinstance(job, PublishResults)] == [64] * 64

    world.finish(publications[0])

    assert len(world.take_jobs()) == 1

    world.run_jobs()
    world.wait(10)
    world.run_jobs()

    assert len({result.signin_id for result in world.results()}) == 5_000


def test_few_results_go_out_at_once_and_a_flood_twice_a_second() -> None:
    """Each publication costs events. Meanwhile results are collected, so none is lost."""
    world = MailboxWorld(pace=Pace())
    for _ in range(MAX_WAITING):
        world.submit("signin-never-0000000001", "x")

    starts = []
    for number in range(600):
        world.submit(f"signin-{number:022}", "x")
        if world.take_jobs():
            starts.append(number)
        for job in list(world.jobs):
            world.finish(job)
        world.wait(0.01)

    assert starts[:PUBLICATIONS_AT_ONCE] == list(range(PUBLICATIONS_AT_ONCE))
    assert len(starts) == PUBLICATIONS_AT_ONCE - 1 + 6 // INTERVAL.total_seconds()

    world.run_jobs()

    assert len(world.results()) == 600

    world.submit("signin-never-0000000001", "x")

    assert world.take_jobs() == []
    assert world.next_wake_up() == INTERVAL


def test_single_results_do_not_exceed_64_publications_while_kafka_is_down(
    world: MailboxWorld,
) -> None:
    """Each publication is an activity that is retried until Kafka is back."""
    for _ in range(100):
        world.submit(f"signin-{uuid.uuid4().hex}", "x")
        world.wait(10)
        world.take_jobs()
    assert len(world.jobs) == 64


def test_a_live_sign_in_keeps_32_results_while_kafka_is_down() -> None:
    """Further answers that its account is locked are dropped. Its end is not."""
    world = MailboxWorld(GENEROUS)
    first, second, locked = (world.mailed_sign_in(network=network) for network in (HOME, CAFE, HOME))
    world.submit_wrong(first, 5)
    world.submit_wrong(second, 5)
    world.run_jobs()
    for _ in range(100):
        world.submit_wrong(locked, 5)
        world.take_jobs()

    world.wait(300)

    assert world.outcomes(locked) == [
        "signin.code_sent",
        *["otp.rejected locked"] * MAX_LOCKED_ANSWERS,
        "signin.expired",
    ]
