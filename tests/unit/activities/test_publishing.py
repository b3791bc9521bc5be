"""Publishing results."""

from datetime import UTC, datetime

from activities.errors import PublishUnavailable
from activities.publishing import PublishingActivities
from schemas.results import ResultEvent, SignInExpired
from tests.fakes.activity_calls import called, failing, log_book
from tests.fakes.publisher import FakePublisher

EVENT = ResultEvent(result=SignInExpired(signin_id="s" * 22, occurred_at=datetime(2026, 11, 23, tzinfo=UTC)))


async def test_a_result_is_published_as_it_is() -> None:
    """The activity adds nothing."""
    publisher = FakePublisher()
    await called().run(PublishingActivities(publisher).publish_result_activity, EVENT)
    assert publisher.published == [EVENT]


async def test_a_result_that_kafka_did_not_take_is_tried_again() -> None:
    """The log says which."""
    publisher = FakePublisher()
    publisher.down = PublishUnavailable
    with log_book() as book:
        error = await failing(PublishingActivities(publisher).publish_result_activity, EVENT)
    assert (error.type, error.non_retryable) == ("PublishUnavailable", False)
    (extra,) = book.extras()
    assert (extra["signin_id"], extra["result"]) == ("s" * 22, "signin.expired")
