"""The composition root and the command line: the one place that reads settings and composes the worker."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn

import typer
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.clearing import ClearingActivities
from activities.delivery import DeliveryActivities
from activities.email_check import EmailActivities
from activities.errors import TemporalUnavailable
from activities.handing_over import HandOverActivities
from activities.otp import OtpActivities
from activities.ports import Publisher
from activities.publishing import PublishingActivities
from activities.turnstile_check import TurnstileActivities
from consumers.gateway.breaker import Breaker
from consumers.gateway.guard import GuardedGateway
from consumers.gateway.limiter import AdaptiveLimit
from consumers.gateway.temporal import TemporalGateway
from consumers.handling.dead_lettering import DeadLetterBreaker, DeadLettering, DeadLetterLimits
from consumers.handling.dispatch import AgeLimits, Dispatcher, Handler
from consumers.handling.observed import Observed
from consumers.handling.retrying import Retrying
from consumers.intake import Intake
from consumers.polling.limits import ConsumerLimits
from consumers.polling.loop import ConsumerLoop
from consumers.ports import utc_now
from schemas.policy import Policy
from utils.cli.commands import add_commands
from utils.cli.terminal import command_group, read_wiring, run_until_signal
from utils.endpoints import build_app, serving
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES
from utils.kafka.watch import KafkaWatch
from utils.kafka.writers import KafkaDeadLetterWriter, ResultPublisher
from utils.logs import configure_logging
from utils.process import (
    Service,
    close_briefly,
    end_on_sigterm,
    exit_now,
    reduce_garbage_collection,
    supervise,
    wait_until_available,
)
from utils.prometheus import MeasuredActivities, MeasuredMailer, MeasuredPublisher, Metrics, PrometheusConsumerMetrics
from utils.prometheus_connections import DEAD_LETTERS, RESULTS
from utils.settings.environment import PREFIX, secret_files
from utils.settings.loading import Settings, load_settings
from utils.settings.tracing import load_tracing
from utils.temporal.first_attempts import TemporalFirstAttempts
from utils.temporal.mailboxes import TemporalMailboxes
from utils.temporal.telemetry import SdkTelemetry
from utils.temporal.workers import Release, build_workers
from utils.wiring import Wiring
from workflows.names import mailbox_task_queue
from workflows.sign_in import SignInWorkflow
from workflows.verify_otp import VerifyOTPWorkflow

if TYPE_CHECKING:  # OpenTelemetry is imported only if its variables ask for it
    from utils.tracing import Tracing

logger = logging.getLogger(__name__)

Role = Literal["all", "consumer", "worker"]

_NO_TEMPORAL: Final = "Temporal: not reached yet"
# Of the 30 s promised: a drain of at most 20 s, then a commit and a leave of 3 s each; then the clients are closed.
STOP_WITHIN_S: Final = 20 + ConsumerLimits.commit_timeout_s + ConsumerLimits.stop_s


def main() -> NoReturn:
    """Run the command line and end the process."""
    end_on_sigterm()
    try:
        command_line()()
    except SystemExit as error:
        exit_now(error.code)
    raise AssertionError("a command line always ends with an exit code")


def build_consumer(
    wiring: Wiring,
    policy: Policy,
    client: Client,
    metrics: Metrics,
    dead_letter_breaker: DeadLetterBreaker,
    stack: AsyncExitStack,
    tracing: "Tracing | None" = None,
) -> ConsumerLoop:
    """Compose the consumer. ``stack`` closes its producer."""
    settings = wiring.settings
    group = settings.kafka.group_id
    counts = PrometheusConsumerMetrics(metrics, wiring.inbound_topics)

    producer = wiring.producer(DEAD_LETTERS, metrics.connections, MAX_DEAD_LETTER_BYTES)
    letters = KafkaDeadLetterWriter(producer)
    stack.push_async_callback(close_briefly, producer.close)

    breaker = Breaker()
    calls = AdaptiveLimit(settings.consumer.max_calls)
    unguarded = TemporalGateway(client, settings.temporal.task_queue, policy, wiring.pseudonyms, wiring.code_keys)
    gateway = GuardedGateway(unguarded, breaker, counts, calls)
    ages = AgeLimits(settings.max_event_age_s, settings.otp.lifetime_s, settings.replay_horizon_s)

    handle: Handler = DeadLettering(Retrying(Dispatcher(gateway, ages), counts), letters, dead_letter_breaker, group)
    handle = Observed(tracing.traced_handler(handle, group) if tracing else handle, counts)

    return ConsumerLoop(
        wiring.kafka_source(),
        Intake(*wiring.inbound_topics, wiring.pseudonyms, counts),
        handle,
        counts,
        (breaker, dead_letter_breaker),
        _consumer_limits(settings),
    )


def dead_letter_limits(settings: Settings) -> DeadLetterLimits:
    """Return how many dead letters are too many."""
    limits = settings.dead_letters
    return DeadLetterLimits(limits.breaker_per_minute, limits.breaker_share, limits.breaker_share_floor)


def _consumer_limits(settings: Settings) -> ConsumerLimits:
    consumer = settings.consumer
    return ConsumerLimits(
        max_records=consumer.max_in_flight,
        max_bytes=consumer.max_in_flight_bytes,
        drain_s=consumer.drain_s,
        head_of_line_s=consumer.head_of_line_s,
        stall_s=consumer.stall_s,
    )


def build_temporal_workers(
    wiring: Wiring, client: Client, metrics: Metrics, stack: AsyncExitStack, tracing: "Tracing | None" = None
) -> list[Worker]:
    """Compose the workers of workflows and activities. ``stack`` closes their clients."""
    settings = wiring.settings
    topic = settings.kafka.results_topic
    producer = wiring.producer(RESULTS, metrics.connections)
    smtp = wiring.mailer()
    stack.push_async_callback(close_briefly, producer.close)
    stack.push_async_callback(close_briefly, smtp.close)

    publisher: Publisher = MeasuredPublisher(ResultPublisher(producer, topic), metrics, utc_now)
    publisher = tracing.traced_publisher(publisher, topic) if tracing else publisher
    mailer = MeasuredMailer(smtp, metrics, utc_now)
    delivery = DeliveryActivities(mailer, wiring.code_keys, settings.smtp.message_id_domain, utc_now)

    return build_workers(
        client,
        task_queue=settings.temporal.task_queue,
        request_workflow=SignInWorkflow,
        mailbox_workflow=VerifyOTPWorkflow,
        activities=_activities(wiring, client, publisher, stack),
        mail_activity=delivery.send_email_activity,
        mails_per_second=settings.limits.mails_per_second,
        release=Release.of(settings.temporal.deployment, settings.temporal.build_id),
        interceptors=[MeasuredActivities(metrics), *([tracing.activity_interceptor()] if tracing else [])],
    )


def _activities(
    wiring: Wiring, client: Client, publisher: Publisher, stack: AsyncExitStack
) -> list[Callable[..., Any]]:
    """Return all activities but the one that sends mail."""
    settings = wiring.settings
    siteverify = wiring.siteverify()
    stack.push_async_callback(close_briefly, siteverify.close)

    mailboxes = TemporalMailboxes(client, mailbox_task_queue(settings.temporal.task_queue))
    hand_over = HandOverActivities(mailboxes, TemporalFirstAttempts(client), utc_now)
    otp = OtpActivities(wiring.code_keys)
    turnstile = TurnstileActivities(
        siteverify,
        frozenset(settings.turnstile.hostnames),
        settings.turnstile.action,
        settings.turnstile.max_token_age_s,
        utc_now,
        by_test_secret=settings.turnstile.has_test_secret and settings.environment == "development",
    )

    return [
        EmailActivities(wiring.mail_domains(), wiring.pseudonyms).validate_email_activity,
        turnstile.verify_turnstile_activity,
        otp.generate_otp_activity,
        otp.verify_otp_activity,
        hand_over.hand_over_activity,
        hand_over.read_first_attempt_activity,
        PublishingActivities(publisher).publish_result_activity,
        ClearingActivities().report_clearing_activity,
    ]


async def run_worker(wiring: Wiring, role: Role, stop: asyncio.Event) -> None:
    """Run until ``stop``. Waits for dependencies that are down at the start.

    On ``stop``, the consumer drains, commits and leaves its group while the workers finish their activities. Then the
    clients close in the reverse order of their creation, last the HTTP endpoints and the tracing.

    Raises ``SettingsError``, ``TemporalSettingsError``, ``CannotListen``, ``StopRequested``, and whatever a bug raises.
    """
    settings = wiring.settings
    metrics = Metrics()
    telemetry = SdkTelemetry()
    tracing = load_tracing(os.environ)
    breaker = DeadLetterBreaker(dead_letter_limits(settings))
    needs = wiring.kafka_needs(consumes=role != "worker", publishes=role != "consumer")
    watch = KafkaWatch(wiring.kafka_access, needs)
    metrics.kafka_problems.set_function(lambda: len(watch.problems))
    workers: list[Worker] = []
    services: list[Service] = [Service("Kafka watch", watch.run, watch.stop)]
    conditions: dict[str, Callable[[], bool]] = {_NO_TEMPORAL: lambda: False}
    app = build_app(
        lambda: [*(missing for missing, is_met in conditions.items() if not is_met()), *watch.problems],
        lambda: metrics.exposition() + telemetry.metrics(),
        None if role == "worker" else breaker.resume,
    )

    async with AsyncExitStack() as stack:
        if tracing is not None:
            stack.push_async_callback(close_briefly, partial(asyncio.to_thread, tracing.close))
        await stack.enter_async_context(serving(app, settings.http.host, settings.http.port))

        reach = partial(wiring.worker_client, telemetry.runtime)
        client = await wait_until_available("Temporal", reach, (TemporalUnavailable, RPCError), stop)

        if role != "consumer":
            workers = build_temporal_workers(wiring, client, metrics, stack, tracing)
            services += [Service(worker.task_queue, worker.run, worker.shutdown) for worker in workers]
            conditions["Temporal: workers do not poll yet"] = lambda: all(worker.is_running for worker in workers)
            conditions["Kafka: results are not accepted"] = partial(metrics.connections.delivers, RESULTS)

        if role != "worker":
            policy = await wiring.policy(client)
            consumer = build_consumer(wiring, policy, client, metrics, breaker, stack, tracing)
            services.append(Service("consumer", consumer.run, consumer.stop))
            watch.add(lambda: consumer.refusal)
            conditions["Kafka: no partitions assigned yet"] = lambda: consumer.ready
            conditions["Kafka: does not answer, or its consumer has stalled"] = lambda: consumer.is_well
            conditions["Kafka: dead letters are not accepted"] = partial(metrics.connections.delivers, DEAD_LETTERS)
            conditions["halted: Temporal does not answer, or too many dead letters"] = lambda: not consumer.halted

        credentials = wiring.credential_watch(client, workers, telemetry.runtime, metrics.connections)
        services.append(Service("credentials", credentials.run, credentials.stop))
        conditions["Kafka: not reached yet"] = lambda: watch.has_answered
        del conditions[_NO_TEMPORAL]
        logger.info("started", extra={"role": role})
        reduce_garbage_collection()
        await supervise(services, stop, STOP_WITHIN_S)


def wire(*only: str) -> Wiring:
    """Read the settings, set up the log, and return the wiring.

    Raises ``SettingsError`` if a setting is wrong whose name starts with one of ``only``, by default any.
    """
    warnings: list[str] = []
    settings = load_settings(os.environ, warnings.append, only or PREFIX)

    configure_logging(format=settings.log.format, level=settings.log.level, stream=sys.stderr)
    return Wiring(settings, warnings, secret_files(os.environ, Settings))


def run(context: typer.Context, role: Annotated[Role, typer.Option(help="What this process does.")] = "all") -> None:
    """Run the worker until SIGTERM."""
    run_until_signal(partial(run_worker, read_wiring(context), role))
    logger.info("stopped")


def command_line() -> typer.Typer:
    """Compose the command line."""
    cli = command_group("Passwordless sign-in by e-mailed one-time code: Kafka in, Temporal inside, Kafka out.", wire)
    cli.command()(run)
    add_commands(cli)
    return cli


if __name__ == "__main__":
    main()
