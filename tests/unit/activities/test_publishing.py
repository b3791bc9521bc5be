"""The activity that publishes results."""

from datetime import UTC, datetime

from activities.errors import PublishUnavailable
from activities.publishing import PublishingActivities
from schemas.results import ResultEvent, SignInExpired
from schemas.tasks import Publication
from tests.fakes.activity_calls import called, failing, log_book
from tests.fakes.publisher import FakePublisher

EVENT = ResultEvent(result=SignInExpired(signin_id="s" * 22, occurred_at=datetime(2026, 11, 23, tzinfo=UTC)))


async def test_a_result_is_published_unchanged() -> None:
    """The activity adds nothing."""
    publisher = FakePublisher()
    await called().run(PublishingActivities(publisher).publish_result_activity, Publication(events=(EVENT,)))
    assert publisher.published == [EVENT]


async def test_a_result_that_kafka_did_not_acknowledge_is_retried() -> None:
    """The log names the result."""
    publisher = FakePublisher()
    publisher.down = PublishUnavailable
    publish = PublishingActivities(publisher).publish_result_activity

    with log_book() as book:
        error = await failing(publish, Publication(events=(EVENT,)))
    (extra,) = book.extras()

    assert (error.type, error.non_retryable) == ("PublishUnavailable", False)
    assert (extra["signin_id"], extra["result"]) == ("s" * 22, "signin.expired")


async def test_one_unacknowledged_result_does_not_delay_the_others() -> None:
    """All are sent at once. The retry publishes all of them again, with the same bytes."""
    events = [ResultEvent(result=EVENT.result.model_copy(update={"signin_id": mark * 22})) for mark in "abc"]
    publisher = FakePublisher()
    publisher.refused.add("b" * 22)
    publication = Publication(events=tuple(events))

    with log_book() as book:
        error = await failing(PublishingActivities(publisher).publish_result_activity, publication)

    assert error.type == "PublishUnavailable"
    assert [extra["signin_id"] for extra in book.extras() if "error" in extra] == ["b" * 22]
    assert [event.result.signin_id for event in publisher.published] == ["a" * 22, "c" * 22]
