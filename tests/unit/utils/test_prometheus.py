"""What is counted and timed, under the names in the contract."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ActivityOutboundInterceptor, ExecuteActivityInput

from activities.errors import MailRefused, MailUnavailable, PublishUnavailable
from activities.ports import CodeMail
from consumers.metrics import ConsumerMetrics, ConsumerSnapshot, PartitionPosition
from consumers.ports import Partition
from schemas.results import OtpRejected, ResultEvent, SignInExpired
from tests.fakes.mailer import FakeMailer
from tests.fakes.publisher import FakePublisher
from utils.prometheus import PrometheusConsumerMetrics, MeasuredActivities, MeasuredMailer, MeasuredPublisher, Metrics

NOW = datetime(2026, 11, 23, 9, 0, 42, tzinfo=UTC)
SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"
MAIL = CodeMail(
    recipient="ada@example.com",
    code=SecretStr("12345678"),
    message_id="<a@b>",
    expires_at=NOW + timedelta(seconds=300),
    requested_at=NOW - timedelta(seconds=2),
)


def clock() -> datetime:
    """Return the same instant every time."""
    return NOW


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return one sample."""
    return metrics.registry.get_sample_value(name, labels)


async def test_mails_are_counted_by_outcome_and_timed_once_accepted() -> None:
    """Each outcome is counted by itself, and only an accepted mail is timed."""
    metrics = Metrics()
    fake = FakeMailer()
    fake.script(MAIL.recipient, MailRefused, MailUnavailable, None)
    mailer = MeasuredMailer(fake, metrics, clock)

    for error in (MailRefused, MailUnavailable):
        with pytest.raises(error):
            await mailer.send(MAIL)

    await mailer.send(MAIL)

    for outcome in ("accepted", "refused", "unavailable"):
        assert value(metrics, "signin_mails_total", outcome=outcome) == 1
    assert value(metrics, "signin_request_to_mail_seconds_count") == 1
    assert value(metrics, "signin_request_to_mail_seconds_sum") == 2


async def test_acknowledged_results_are_counted_by_type_and_reason() -> None:
    """A result that Kafka did not accept is not counted; one without a reason has an empty label."""
    metrics = Metrics()
    fake = FakePublisher()
    fake.script(PublishUnavailable)
    publisher = MeasuredPublisher(fake, metrics, clock)
    expired = ResultEvent(result=SignInExpired(signin_id=SIGNIN_ID, occurred_at=NOW))

    with pytest.raises(PublishUnavailable):
        await publisher.publish(expired)

    await publisher.publish(expired)

    assert value(metrics, "signin_results_total", type="signin.expired", reason="") == 1
    assert value(metrics, "signin_submit_to_result_seconds_count") == 0


async def test_answers_to_submissions_are_timed() -> None:
    """The time runs from the submission to the acknowledgement; it is 0 if the emitter's clock is ahead."""
    metrics = Metrics()
    publisher = MeasuredPublisher(FakePublisher(), metrics, clock)
    result = OtpRejected(signin_id=SIGNIN_ID, occurred_at=NOW, submission_id="s" * 16, reason="wrong_code")
    await publisher.publish(ResultEvent(result=result, submitted_at=NOW - timedelta(seconds=3)))
    await publisher.publish(ResultEvent(result=result, submitted_at=NOW + timedelta(seconds=3)))

    assert value(metrics, "signin_results_total", type="otp.rejected", reason="wrong_code") == 2
    assert value(metrics, "signin_submit_to_result_seconds_count") == 2
    assert value(metrics, "signin_submit_to_result_seconds_sum") == 3


async def test_a_wait_for_an_unknown_sign_in_is_no_slow_verdict() -> None:
    """It takes 10 s on purpose, so the objective for verdicts leaves it out; the older histogram counts it as ever."""
    metrics = Metrics()
    publisher = MeasuredPublisher(FakePublisher(), metrics, clock)
    members = {"signin_id": SIGNIN_ID, "occurred_at": NOW, "submission_id": "s" * 16}

    for reason in ("unknown_signin", "locked", "wrong_code"):
        result = OtpRejected.model_validate({**members, "reason": reason})
        await publisher.publish(ResultEvent(result=result, submitted_at=NOW - timedelta(seconds=1)))

    assert value(metrics, "signin_submit_to_result_seconds_count") == 3
    assert value(metrics, "signin_verdict_seconds_count") == 2
    assert value(metrics, "signin_verdict_seconds_sum") == 2


async def test_a_result_has_an_age_when_kafka_takes_it() -> None:
    """The age counts from the decision, whatever has kept the result back."""
    metrics = Metrics()
    publisher = MeasuredPublisher(FakePublisher(), metrics, clock)

    for age_s in (90, 0, -5):
        expired = SignInExpired(signin_id=SIGNIN_ID, occurred_at=NOW - timedelta(seconds=age_s))
        await publisher.publish(ResultEvent(result=expired))

    assert value(metrics, "signin_result_age_seconds_count") == 3
    assert value(metrics, "signin_result_age_seconds_sum") == 90
    assert value(metrics, "signin_result_age_seconds_bucket", le="60.0") == 2


class Inner(ActivityInboundInterceptor):
    """The end of the chain: raises the given error, or returns 42."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        """Ignore the outbound interceptor."""

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Return or raise."""
        if self.error is not None:
            raise self.error
        return 42


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "done"),
        (ApplicationError("x", type="MailRefused", non_retryable=True), "refused"),
        (ApplicationError("x", type="MailUnavailable"), "unavailable"),
        (ApplicationError("x", type="UnexpectedError"), "bug"),
        (KeyError("x"), "bug"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
async def test_activities_are_timed_by_name_and_outcome(error: BaseException | None, outcome: str) -> None:
    """Each outcome has its own label, and results and errors pass through unchanged."""
    metrics = Metrics()
    interceptor = MeasuredActivities(metrics).intercept_activity(Inner(error))

    async def run() -> Any:
        return await interceptor.execute_activity(ExecuteActivityInput(fn=run, args=(), executor=None, headers={}))

    environment = ActivityEnvironment()

    if error is None:
        assert await environment.run(run) == 42
    else:
        with pytest.raises(type(error)):
            await environment.run(run)

    name = environment.info.activity_type

    assert value(metrics, "signin_activity_seconds_count", activity=name, outcome=outcome) == 1


def test_the_consumers_events_are_counted() -> None:
    """Records are counted by outcome, postponed calls by reason; future events, assignments and rebuilds are too."""
    metrics = Metrics()
    counts: ConsumerMetrics = PrometheusConsumerMetrics(metrics)
    counts.record_done("otp.submitted", "applied")
    counts.call_postponed("throttled")
    counts.time_in_future("otp.submitted")
    counts.rebalanced()
    counts.rebuilt()

    assert value(metrics, "signin_consumer_records_total", topic="otp.submitted", outcome="applied") == 1
    assert value(metrics, "signin_consumer_postponed_total", reason="throttled") == 1
    assert value(metrics, "signin_consumer_future_events_total", topic="otp.submitted") == 1
    assert value(metrics, "signin_consumer_rebalances_total") == 1
    assert value(metrics, "signin_consumer_rebuilds_total") == 1


def test_counters_that_alerts_use_start_at_0() -> None:
    """The first dead letter, refused mail or odd result is a step from 0, which ``rate`` can see."""
    metrics = Metrics()
    PrometheusConsumerMetrics(metrics, ("signin.requested", "otp.submitted"))
    MeasuredMailer(FakeMailer(), metrics, clock)
    MeasuredPublisher(FakePublisher(), metrics, clock)

    for topic in ("signin.requested", "otp.submitted"):
        assert value(metrics, "signin_consumer_records_total", topic=topic, outcome="dead_lettered") == 0
        assert value(metrics, "signin_consumer_future_events_total", topic=topic) == 0

    assert value(metrics, "signin_mails_total", outcome="refused") == 0
    assert value(metrics, "signin_results_total", type="signin.rejected", reason="challenge_unavailable") == 0
    assert value(metrics, "signin_results_total", type="signin.expired", reason="") == 0


def test_the_consumers_gauges_follow_the_snapshot() -> None:
    """Owned partitions have gauges and lost ones have none. An unknown value is not shown."""
    metrics = Metrics()
    counts = PrometheusConsumerMetrics(metrics)
    known = PartitionPosition(
        Partition("t", 0),
        end=10,
        watermark=4,
        committed=3,
        oldest_unfinished_age_s=1.5,
        head_of_line_s=7,
        stable_end=8,
        open_transaction_s=5,
    )
    unknown = PartitionPosition(
        Partition("t", 1), end=None, watermark=None, committed=None, oldest_unfinished_age_s=None
    )
    counts.observe(ConsumerSnapshot([known, unknown], in_flight=2, breaker_open=True))

    assert value(metrics, "signin_consumer_lag_records", topic="t", partition="0") == 6
    assert value(metrics, "signin_consumer_lag_records", topic="t", partition="1") is None
    assert value(metrics, "signin_consumer_oldest_unfinished_age_seconds", topic="t", partition="0") == 1.5
    assert value(metrics, "signin_consumer_head_of_line_seconds", topic="t", partition="0") == 7
    assert value(metrics, "signin_consumer_open_transaction_seconds", topic="t", partition="0") == 5
    assert value(metrics, "signin_consumer_offset", topic="t", partition="0", kind="watermark") == 4
    assert value(metrics, "signin_consumer_offset", topic="t", partition="0", kind="stable_end") == 8
    assert (value(metrics, "signin_consumer_in_flight"), value(metrics, "signin_consumer_breaker_open")) == (2, 1)

    counts.observe(ConsumerSnapshot([unknown], in_flight=0, breaker_open=False))

    assert value(metrics, "signin_consumer_lag_records", topic="t", partition="0") is None
    assert value(metrics, "signin_consumer_offset", topic="t", partition="0", kind="watermark") is None
    assert value(metrics, "signin_consumer_head_of_line_seconds", topic="t", partition="0") is None
    assert value(metrics, "signin_consumer_breaker_open") == 0


def test_a_lag_that_is_no_longer_known_disappears() -> None:
    """The age stays for a moment while only it is unknown; an old lag would look like a true one."""
    metrics = Metrics()
    counts = PrometheusConsumerMetrics(metrics, ["t"])
    known = PartitionPosition(Partition("t", 0), end=10, watermark=4, committed=3, oldest_unfinished_age_s=1.5)

    def shown(position: PartitionPosition) -> tuple[float | None, float | None]:
        counts.observe(ConsumerSnapshot([position], in_flight=0, breaker_open=False))
        lag = value(metrics, "signin_consumer_lag_records", topic="t", partition="0")
        return lag, value(metrics, "signin_consumer_oldest_unfinished_age_seconds", topic="t", partition="0")

    assert shown(known) == (6, 1.5)
    assert shown(replace(known, oldest_unfinished_age_s=None)) == (6, 1.5)
    assert shown(replace(known, end=None)) == (None, 1.5)
    assert shown(replace(known, end=None, oldest_unfinished_age_s=None)) == (None, None)

    counts.log_replaced("t")

    assert value(metrics, "signin_consumer_replaced_logs_total", topic="t") == 1


def test_the_metrics_of_the_contract_exist() -> None:
    """Every metric that alerts may rely on is exported."""
    metrics = Metrics()
    names = {family.name for family in metrics.registry.collect()}

    assert {
        "signin_consumer_lag_records",
        "signin_consumer_head_of_line_seconds",
        "signin_consumer_rebuilds",
        "signin_consumer_oldest_unfinished_age_seconds",
        "signin_consumer_records",
        "signin_consumer_in_flight",
        "signin_consumer_breaker_open",
        "signin_results",
        "signin_mails",
        "signin_activity_seconds",
        "signin_request_to_mail_seconds",
        "signin_submit_to_result_seconds",
    } <= names
    assert b"signin_consumer_breaker_open 0.0" in metrics.exposition()
