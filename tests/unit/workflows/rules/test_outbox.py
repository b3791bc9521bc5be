"""Results on their way out: in order for each sign-in, in batches for the mailbox."""

import uuid

from tests.fakes.mailbox_world import WRONG, MailboxWorld, summary
from workflows.rules.jobs import PublishResults


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
    for _ in range(2):
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


def test_a_flood_of_results_is_64_publications_of_64_results(world: MailboxWorld) -> None:
    """A server fails a workflow task that would leave more than 2,000 activities pending."""
    for _ in range(5_000):
        world.submit(f"signin-{uuid.uuid4().hex}", "x")

    world.wait(10)
    publications = world.take_jobs()

    assert [len(job.events) for job in publications if isinstance(job, PublishResults)] == [64] * 64

    world.finish(publications[0])

    assert len(world.take_jobs()) == 1

    world.run_jobs()

    assert len({result.signin_id for result in world.results()}) == 5_000


def test_single_results_do_not_exceed_64_publications_while_kafka_is_down(
    world: MailboxWorld,
) -> None:
    """Each publication is an activity that is retried until Kafka is back."""
    for _ in range(100):
        world.submit(f"signin-{uuid.uuid4().hex}", "x")
        world.wait(10)
        world.take_jobs()
    assert len(world.jobs) == 64
