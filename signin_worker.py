"""The composition root and the command line: the one place that reads settings and builds clients."""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, TypeVar

import typer
import uvloop
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.addresses import Address
from activities.clearing import ClearingActivities
from activities.codes import CodeKeys
from activities.delivery import DeliveryActivities
from activities.email_check import EmailActivities
from activities.errors import TemporalUnavailable
from activities.handing_over import HandOverActivities
from activities.otp import OtpActivities
from activities.ports import Publisher
from activities.pseudonyms import Pseudonyms
from activities.publishing import PublishingActivities
from activities.turnstile_check import TurnstileActivities
from consumers.gateway.breaker import Breaker
from consumers.handling.dead_lettering import DeadLettering, DeadLetterBreaker
from consumers.handling.dispatch import AgeLimits, Dispatcher, Handler
from consumers.gateway.temporal import TemporalGateway
from consumers.gateway.guard import GuardedGateway
from consumers.intake import Intake
from consumers.gateway.limiter import AdaptiveLimit
from consumers.polling.loop import ConsumerLoop, LoopLimits
from consumers.handling.observed import Observed
from consumers.ports import KafkaUnavailable, utc_now
from consumers.handling.retrying import Retrying
from schemas.policy import Policy
from schemas.status import Trace
from utils.cli.dead_letters import DeadLetterCommands, Desk
from utils.cli.events import EventCommands, PostBox
from utils.cli.limits import Limits, LimitsCommands, SupportDesk
from utils.cli.schemas import SchemaCommand
from utils.cli.status import Look, StatusCommand
from utils.cli.trace import Tell, TraceCommand
from utils import wiring as dependencies
from utils.checks import probes as checks
from utils.endpoints import CannotListen, InstanceUnavailable, request_resume, build_app, serving
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES, ReliableProducer
from utils.kafka.writers import KafkaDeadLetterWriter, KafkaInboundWriter, ResultPublisher, emit
from utils.kafka.dead_letters import KafkaDeadLetterReader, KafkaReplayStore
from utils.kafka.source import KafkaSource
from utils.kafka.topics import create_topics
from utils.logs import configure_logging
from utils.prometheus import PrometheusConsumerMetrics, MeasuredActivities, MeasuredMailer, MeasuredPublisher, Metrics
from utils.settings.loading import Settings, SettingsError, load_settings
from utils.temporal.client import TemporalFirstAttempts, TemporalMailboxes, TemporalSettingsError, connect
from utils.status import Lookout
from utils.temporal.trace import whole_story
from utils.settings.telemetry import tracing as tracing_wanted
from utils.temporal.limits import TemporalLimits
from utils.temporal.workers import SdkTelemetry, build_workers
from utils.checks.finding import Finding
from utils.cli.terminal import command_group, documenting, end, examine, show
from utils.process import (
    Service,
    StopRequested,
    close_briefly,
    reduce_garbage_collection,
    exit_now,
    stop_on_signals,
    supervise,
    wait_until_available,
)
from workflows.names import mailbox_task_queue
from workflows.sign_in import SignInWorkflow
from workflows.verify_otp import VerifyOTPWorkflow

if TYPE_CHECKING:  # not loaded unless it is asked for
    from utils.tracing import Tracing

logger = logging.getLogger(__name__)

Role = Literal["all", "consumer", "worker"]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_T = TypeVar("_T")
_TEMPORAL_AWAY: Final = "Temporal: not reached yet"
# Of the 30 s promised: a drain of at most 20 s and two more steps of 3 s; then the clients are closed.
_LAST_STEP_S: Final = 3.0
_STOP_WITHIN_S: Final = 20 + 2 * _LAST_STEP_S

cli = command_group("Passwordless sign-in by e-mailed one-time code: Kafka in, Temporal inside, Kafka out.")
topics_cli = command_group("Kafka's topics.")
temporal_cli = command_group("Temporal's namespace.")
cli.add_typer(topics_cli, name="topics")
cli.add_typer(temporal_cli, name="temporal")


def main() -> NoReturn:
    """Run the command line and end the process."""
    try:
        cli()
    except SystemExit as ending:
        exit_now(ending.code)
    raise AssertionError("a command line always ends with a code")


def build_consumer(
    settings: Settings,
    policy: Policy,
    client: Client,
    metrics: Metrics,
    rate: DeadLetterBreaker,
    stack: AsyncExitStack,
    tracing: "Tracing | None" = None,
) -> ConsumerLoop:
    """Compose Kafka in."""
    kafka, queue = settings.kafka, settings.temporal.task_queue
    access, names, keys = dependencies.kafka_access(settings), _pseudonyms(settings), _code_keys(settings)
    producer = ReliableProducer(access, max_request_bytes=MAX_DEAD_LETTER_BYTES)
    stack.push_async_callback(close_briefly, producer.close)
    topics = (kafka.requested_topic, kafka.submitted_topic)
    counts, letters, breaker = PrometheusConsumerMetrics(metrics, topics), KafkaDeadLetterWriter(producer), Breaker()
    temporal = TemporalGateway(client, queue, policy, names, keys)
    gateway = GuardedGateway(temporal, breaker, counts, AdaptiveLimit(settings.consumer.max_calls))
    ages = AgeLimits(settings.max_event_age_s, settings.otp.lifetime_s, settings.replay_horizon_s)
    handle: Handler = DeadLettering(Retrying(Dispatcher(gateway, ages), counts), letters, rate, kafka.group_id)
    handle = Observed(tracing.traced_handler(handle, kafka.group_id) if tracing else handle, counts)
    most = settings.consumer
    limits = LoopLimits(most.max_in_flight, most.max_in_flight_bytes, drain_s=most.drain_s)
    limits = replace(limits, commit_timeout_s=_LAST_STEP_S, stop_s=_LAST_STEP_S)
    limits = replace(limits, head_of_line_s=most.head_of_line_s, stall_s=most.stall_s)
    return ConsumerLoop(
        KafkaSource(access, kafka.group_id, topics),
        Intake(*topics, names, counts),
        handle,
        counts,
        (breaker, rate),
        limits,
    )


def build_temporal_workers(
    settings: Settings, client: Client, metrics: Metrics, stack: AsyncExitStack, tracing: "Tracing | None" = None
) -> list[Worker]:
    """Compose the workflows and activities."""
    turnstile, queue, keys = settings.turnstile, settings.temporal.task_queue, _code_keys(settings)
    producer = ReliableProducer(dependencies.kafka_access(settings))
    stack.push_async_callback(close_briefly, producer.close)
    siteverify = dependencies.siteverify_client(settings)
    stack.push_async_callback(close_briefly, siteverify.close)
    topic = settings.kafka.results_topic
    publisher: Publisher = MeasuredPublisher(ResultPublisher(producer, topic), metrics, utc_now)
    publisher = tracing.traced_publisher(publisher, topic) if tracing else publisher
    smtp = dependencies.smtp_mailer(settings)
    stack.push_async_callback(close_briefly, smtp.close)
    mailer = MeasuredMailer(smtp, metrics, utc_now)
    otp = OtpActivities(keys)
    hand_over = HandOverActivities(TemporalMailboxes(client, mailbox_task_queue(queue)), TemporalFirstAttempts(client))
    return build_workers(
        client,
        task_queue=queue,
        request_workflow=SignInWorkflow,
        mailbox_workflow=VerifyOTPWorkflow,
        activities=[
            EmailActivities(dependencies.mail_domains(settings), _pseudonyms(settings)).validate_email_activity,
            TurnstileActivities(
                siteverify,
                frozenset(turnstile.hostnames),
                turnstile.action,
                turnstile.max_token_age_s,
                utc_now,
                by_test_secret=turnstile.has_test_secret and settings.environment == "development",
            ).verify_turnstile_activity,
            otp.generate_otp_activity,
            otp.verify_otp_activity,
            hand_over.hand_over_activity,
            hand_over.was_handed_over_activity,
            hand_over.read_first_attempt_activity,
            PublishingActivities(publisher).publish_result_activity,
            ClearingActivities().report_clearing_activity,
        ],
        mail_activity=DeliveryActivities(mailer, keys, settings.smtp.message_id_domain, utc_now).send_email_activity,
        mails_per_second=settings.limits.mails_per_second,
        interceptors=[MeasuredActivities(metrics), *([tracing.activity_interceptor()] if tracing else [])],
    )


def _pseudonyms(settings: Settings) -> Pseudonyms:
    return Pseudonyms(settings.keys.account.get_secret_value())


def _code_keys(settings: Settings) -> CodeKeys:
    return CodeKeys(settings.keys.code.get_secret_value())


async def run_worker(settings: Settings, role: Role, stop: asyncio.Event) -> None:
    """Run until ``stop``; what is down at the start is waited for.

    Raises ``SettingsError``, ``TemporalSettingsError``, ``CannotListen``, ``StopRequested``, and whatever a bug raised.
    """
    metrics, telemetry, services = Metrics(), SdkTelemetry(), list[Service]()
    conditions: dict[str, Callable[[], bool]] = {_TEMPORAL_AWAY: lambda: False}
    rate = DeadLetterBreaker(settings.dead_letters.breaker_per_minute)
    app = build_app(
        lambda: [absence for absence, is_met in conditions.items() if not is_met()],
        lambda: metrics.exposition() + telemetry.metrics(),
        None if role == "worker" else rate.resume,
    )
    tracing = tracing_wanted(os.environ)
    async with AsyncExitStack() as stack:
        if tracing is not None:
            stack.push_async_callback(close_briefly, partial(asyncio.to_thread, tracing.close))
        await stack.enter_async_context(serving(app, settings.http.host, settings.http.port))
        reach = partial(dependencies.temporal_client, settings, telemetry.runtime)
        client = await wait_until_available("Temporal", reach, (TemporalUnavailable, RPCError), stop)
        if role != "consumer":
            workers = build_temporal_workers(settings, client, metrics, stack, tracing)
            services += [Service(worker.task_queue, worker.run, worker.shutdown) for worker in workers]
            conditions["Temporal: workers do not poll yet"] = lambda: all(worker.is_running for worker in workers)
        if role != "worker":
            policy = await dependencies.policy(settings, client)
            consumer = build_consumer(settings, policy, client, metrics, rate, stack, tracing)
            services.append(Service("consumer", consumer.run, consumer.stop))
            conditions["Kafka: no partitions assigned yet"] = lambda: consumer.ready
            conditions["Kafka: does not answer, or its consumer has stalled"] = lambda: consumer.is_well
            conditions["halted: Temporal does not answer, or too many dead letters"] = lambda: not consumer.halted
        del conditions[_TEMPORAL_AWAY]
        logger.info("started", extra={"role": role})
        reduce_garbage_collection()
        await supervise(services, stop, _STOP_WITHIN_S)


@cli.command()
def run(role: Annotated[Role, typer.Option(help="What this process does.")] = "all") -> None:
    """Run the worker until SIGTERM."""
    settings = _settings()

    async def until_signal() -> None:
        with contextlib.suppress(StopRequested):
            await run_worker(settings, role, stop_on_signals())

    _carried_out(until_signal())
    logger.info("stopped")


@cli.command("codec-server")
def codec_server() -> None:
    """Let Temporal's web UI and command line show what is encrypted, to those who have the token."""
    settings = _settings(only=("SIGNIN_KEYS__PAYLOAD", "SIGNIN_CODEC_SERVER__"))

    async def until_signal() -> None:
        stop, own = stop_on_signals(), settings.codec_server
        async with serving(dependencies.codec_server(settings), own.host, own.port):
            logger.info("started", extra={"role": "codec-server"})
            await stop.wait()

    _carried_out(until_signal(), listening="SIGNIN_CODEC_SERVER")


@cli.command(cls=documenting(Settings))
def check(as_json: Json = False) -> None:
    """Check the settings, then each dependency: a line each, with what to do.

    Temporal's client is set up by Temporal's own variables: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY,
    TEMPORAL_TLS_*, TEMPORAL_PROFILE.
    """
    said: list[str] = []
    try:
        settings = load_settings(os.environ, said.append)
    except SettingsError as error:
        show([Finding("settings", False, problem) for problem in error.problems], as_json=as_json)
        raise typer.Exit(os.EX_CONFIG) from None
    configure_logging(format=settings.log.format, level="critical", stream=sys.stderr)
    known = checks.settings_findings(settings, said)
    raise typer.Exit(uvloop.run(examine(checks.probes(settings), as_json=as_json, known=known)))


@cli.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    report: Annotated[str, typer.Option("--json", metavar="FILE", help="Write what happened; - is stdout.")] = "",
) -> None:
    """Let virtual people sign in on real servers started for them, as make demo does."""
    sources = Path(__file__).resolve().parent
    if not (sources / "deploy" / "demo").is_dir() or find_spec("jgo") is None:
        end(os.EX_UNAVAILABLE, ["The demo needs the project's sources and what they are tested with: call make demo."])
    arguments = [*(["--keep"] if keep else []), *(["--json", report] if report else [])]
    environment = os.environ | {"PYTHONPATH": str(sources)}
    os.execve(sys.executable, [sys.executable, "-m", "deploy.demo", *arguments], environment)


@temporal_cli.command("create")
def create_temporal(
    retention_days: Annotated[
        int, typer.Option("--retention-days", min=1, max=90, help="For a namespace that has to be made.")
    ] = 3,
) -> None:
    """Create the namespace and its search attributes, as far as they are missing; what is there is never changed."""
    settings = _settings(only="SIGNIN_TEMPORAL__")
    report = _carried_out(dependencies.namespace(settings, timedelta(days=retention_days)))
    typer.echo(f"{report.name}: {'created' if report.created else 'there'}, remembers {report.retention}")
    typer.echo(f"search attributes: {', '.join(report.added) + ' added' if report.added else 'there'}")


@topics_cli.command("create")
def create() -> None:
    """Create the topics that are missing; those that are there are compared, never changed."""
    settings = _settings(only="SIGNIN_KAFKA__")
    for report in _carried_out(create_topics(dependencies.kafka_access(settings), dependencies.topic_plans(settings))):
        typer.echo(f"{report.name}: {'created' if report.created else 'there'}")
        for difference in report.differences:
            typer.echo(f"  {difference}")


def _settings(only: str | tuple[str, ...] = "SIGNIN_") -> Settings:
    """Read the settings and set up the log, or end with what is wrong."""
    said: list[str] = []
    try:
        settings = load_settings(os.environ, said.append, only)
    except SettingsError as error:
        end(os.EX_CONFIG, error.problems)
    configure_logging(format=settings.log.format, level=settings.log.level, stream=sys.stderr)
    for sentence in said:
        logger.warning(sentence)
    return settings


def _carried_out(work: Coroutine[Any, Any, _T], listening: str = "SIGNIN_HTTP") -> _T:
    """Do the work, and end with the code and the advice that its failure asks for."""
    try:
        return uvloop.run(work)
    except SettingsError as error:
        end(os.EX_CONFIG, error.problems)
    except TemporalSettingsError as error:
        end(os.EX_CONFIG, [f"{error}: correct the variables TEMPORAL_* or the profile."])
    except InstanceUnavailable as error:
        end(os.EX_UNAVAILABLE, [f"{error}: name one that has a consumer by SIGNIN_HTTP__HOST and SIGNIN_HTTP__PORT."])
    except CannotListen:
        end(os.EX_CONFIG, [f"{listening}__HOST and {listening}__PORT cannot be listened on: choose others."])
    except (TemporalUnavailable, RPCError):
        end(os.EX_UNAVAILABLE, ["Temporal does not answer, or no worker does: signin-worker check tells more."])
    except KafkaUnavailable as error:
        end(os.EX_UNAVAILABLE, [f"Kafka is unavailable ({error}): signin-worker check tells more."])


def post_box() -> PostBox:
    """Compose what events are emitted with."""
    settings = _settings(only="SIGNIN_KAFKA__")
    write = partial(emit, dependencies.kafka_access(settings))
    return PostBox(settings.kafka.requested_topic, settings.kafka.submitted_topic, write)


def topic_names() -> tuple[str, str, str]:
    """Return the topics of requests, submissions and results."""
    kafka = _settings(only="SIGNIN_KAFKA__").kafka
    return kafka.requested_topic, kafka.submitted_topic, kafka.results_topic


def dead_letter_desk() -> Desk:
    """Compose what dead letters are worked on with."""
    settings = _settings(only="SIGNIN_KAFKA__")
    kafka, access = settings.kafka, dependencies.kafka_access(settings)
    producer = ReliableProducer(access, max_request_bytes=MAX_DEAD_LETTER_BYTES)
    topics = (kafka.requested_topic, kafka.submitted_topic)
    memory = KafkaReplayStore(access, dependencies.replay_group(settings))
    return Desk(topics, KafkaDeadLetterReader(access), memory, KafkaInboundWriter(producer), producer.close)


def support_desk() -> SupportDesk:
    """Compose what support works with."""
    settings = _settings(only=("SIGNIN_KEYS__ACCOUNT", "SIGNIN_KEYS__PAYLOAD"))

    async def limits() -> Limits:
        return TemporalLimits(await connect(settings.keys.payload.get_secret_value()))

    return SupportDesk(_pseudonyms(settings), limits)


def lookout() -> Look:
    """Compose what looks at everything."""
    settings = _settings(only=("SIGNIN_KAFKA__", "SIGNIN_HTTP__", "SIGNIN_TEMPORAL__"))
    kafka, http = settings.kafka, settings.http
    reach = partial(connect, settings.keys.payload.get_secret_value())
    topics = (kafka.requested_topic, kafka.submitted_topic)
    page = f"http://{http.host}:{http.port}"
    queue = settings.temporal.task_queue
    return Lookout(dependencies.kafka_access(settings), kafka.group_id, topics, reach, queue, page).look


def storyteller() -> Tell:
    """Compose what tells a sign-in's story."""
    settings = _settings(only=("SIGNIN_KAFKA__", "SIGNIN_KEYS__ACCOUNT", "SIGNIN_KEYS__PAYLOAD"))
    kafka, access = settings.kafka, dependencies.kafka_access(settings)
    topics = (kafka.requested_topic, kafka.submitted_topic, kafka.results_topic)

    async def tell(signin_id: str, address: Address | None) -> Trace:
        client = await connect(settings.keys.payload.get_secret_value())
        mailbox = None if address is None else _pseudonyms(settings).mailbox(address)
        return await whole_story(client, access, topics, signin_id, mailbox)

    return tell


async def _resume() -> bool:
    http = _settings(only="SIGNIN_HTTP__").http
    return await request_resume(http.host, http.port)


EventCommands(post_box, _carried_out).add_to(cli)
SchemaCommand(topic_names).add_to(cli)
StatusCommand(lookout, _carried_out).add_to(cli)
TraceCommand(storyteller, _carried_out).add_to(cli)
cli.add_typer(LimitsCommands(support_desk, _carried_out).group(), name="limits")
cli.add_typer(DeadLetterCommands(dead_letter_desk, _resume, _carried_out).group(), name="dlt")

if __name__ == "__main__":
    main()
