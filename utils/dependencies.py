"""What the worker depends on: the client of each by the settings, and a check of each.

A check tells whether it is there and set up right, and if not, what to do.
"""

import os
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from datetime import timedelta

from pydantic import SecretStr
from starlette.applications import Starlette
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from activities.errors import ChallengeUnavailable, MailUnavailable, TemporalUnavailable
from consumers.ports import KafkaUnavailable
from schemas.policy import Policy
from utils.codec_server import codec_app
from utils.dns_lookup import DnsMailDomains
from utils.kafka import KafkaAccess
from utils.kafka_topics import TopicPlan, look_up_topics, planned_topics
from utils.mail_templates import MailTemplates
from utils.payload_codec import EncryptionCodec
from utils.settings import Settings, SettingsError
from utils.smtp import SmtpMailer
from utils.temporal import TemporalSettingsError, connect, namespace_retention
from utils.temporal_namespace import NamespaceReport, create_namespace, shows_mailboxes
from utils.terminal import Finding, Probe
from utils.turnstile import SiteverifyClient

_MAIL_MARGIN_S = 1.0  # the mailer gives up before its activity is given up, so that the error has a name
_STAMP = "message.timestamp.type"


def kafka_access(settings: Settings) -> KafkaAccess:
    """Return how to get into Kafka."""
    kafka = settings.kafka
    return KafkaAccess(
        bootstrap_servers=",".join(kafka.bootstrap_servers),
        security_protocol=kafka.security_protocol,
        sasl_mechanism=kafka.sasl_mechanism,
        username=kafka.sasl_username,
        password=_revealed(kafka.sasl_password),
        cafile=kafka.ssl_cafile,
        certfile=kafka.ssl_certfile,
        keyfile=kafka.ssl_keyfile,
    )


def topic_plans(settings: Settings) -> list[TopicPlan]:
    """Return the topics as they should be."""
    kafka = settings.kafka
    return planned_topics(kafka.requested_topic, kafka.submitted_topic, kafka.results_topic)


def smtp_mailer(settings: Settings) -> SmtpMailer:
    """Return the mail server's client."""
    smtp = settings.smtp
    return SmtpMailer(
        host=smtp.host,
        port=smtp.port,
        security=smtp.security,
        sender=smtp.sender,
        renderer=MailTemplates(settings.mail.templates),
        username=smtp.username,
        password=_revealed(smtp.password),
        cafile=smtp.cafile,
        mails_per_connection=smtp.mails_per_connection,
        timeout_s=max(settings.times.mail_attempt_s - _MAIL_MARGIN_S, settings.times.mail_attempt_s / 2),
    )


def codec_server(settings: Settings) -> Starlette:
    """Return the codec server. Raises ``SettingsError`` without a token: what it shows are addresses."""
    own = settings.codec_server
    if own.token is None:
        raise SettingsError(["SIGNIN_CODEC_SERVER__TOKEN is missing: draw 32 characters or more at random."])
    codec = EncryptionCodec(settings.keys.payload.get_secret_value())
    return codec_app(codec, own.token.get_secret_value(), own.origins)


def siteverify_client(settings: Settings) -> SiteverifyClient:
    """Return Turnstile's client."""
    return SiteverifyClient(settings.turnstile.url, settings.turnstile.secret.get_secret_value())


def mail_domains(settings: Settings) -> DnsMailDomains:
    """Return DNS."""
    return DnsMailDomains(settings.dns.nameservers, settings.dns.port)


async def temporal_client(settings: Settings, runtime: Runtime) -> Client:
    """Connect to Temporal. Raises ``SettingsError`` if it forgets too early, and as ``namespace_retention`` does."""
    client = await connect(settings.keys.payload.get_secret_value(), runtime=runtime)
    if problem := await retention_problem(client, settings.replay_horizon_s):
        raise SettingsError([problem])
    return client


async def policy(settings: Settings, client: Client) -> Policy:
    """Return the numbers that travel into the workflows, and whether these may show how they stand."""
    visible = await shows_mailboxes(client, settings.temporal.search_attributes)
    return settings.policy().model_copy(update={"search_attributes": visible})


async def namespace(settings: Settings, retention: timedelta) -> NamespaceReport:
    """Make the namespace, to remember for ``retention``, or for as long as a replay may reach back if that is longer.

    Raises as ``create_namespace`` does.
    """
    client = await connect(settings.keys.payload.get_secret_value())
    return await create_namespace(client, max(retention, timedelta(seconds=settings.replay_horizon_s)))


def settings_findings(settings: Settings, warnings: Sequence[str]) -> list[Finding]:
    """Return what a check says of settings that can be used. Ids of keys are shown, to follow a rotation."""
    codes, payloads = (", ".join(ring.get_secret_value()) for ring in (settings.keys.code, settings.keys.payload))
    text = f"complete for {settings.environment}; code keys: {codes}; payload keys: {payloads}."
    return [Finding("settings", True, text), *(Finding("settings", True, warning) for warning in warnings)]


def probes(settings: Settings) -> list[Probe]:
    """Return a check of each dependency."""
    checks: list[Callable[[Settings], Awaitable[Finding]]]
    checks = [check_kafka, check_temporal, check_smtp, check_turnstile, check_dns]
    return [partial(check, settings) for check in checks]


async def check_kafka(settings: Settings) -> Finding:
    """Tell whether the topics are there, and whether the inbound ones have the broker's stamp."""
    access, plans = kafka_access(settings), topic_plans(settings)
    try:
        topics = await look_up_topics(access, [plan.name for plan in plans])
    except (KafkaUnavailable, OSError) as error:
        fix = "start it, or correct SIGNIN_KAFKA__BOOTSTRAP_SERVERS, the security settings beside it, and the network."
        return _bad("Kafka", f"no usable answer from {access.bootstrap_servers} ({type(error).__name__}).", fix)
    missing = [plan.name for plan in plans if plan.name not in topics]
    if missing:
        return _bad("Kafka", f"these topics are missing: {', '.join(missing)}.", "signin-worker topics create")
    inbound = (settings.kafka.requested_topic, settings.kafka.submitted_topic)
    unstamped = [name for name in inbound if topics[name].settings.get(_STAMP) != "LogAppendTime"]
    if unstamped:
        text = f"all topics are there, but ages go by the emitters' clocks on {', '.join(unstamped)}."
        return Finding("Kafka", True, text, f"set {_STAMP}=LogAppendTime on them.")
    return Finding("Kafka", True, f"all topics are there at {access.bootstrap_servers}.")


async def check_temporal(settings: Settings) -> Finding:
    """Tell whether the namespace is there and remembers for long enough."""
    try:
        client = await connect(settings.keys.payload.get_secret_value())
        problem = await retention_problem(client, settings.replay_horizon_s)
    except TemporalSettingsError as error:
        fix = "correct the variables TEMPORAL_* or the profile."
        return Finding("Temporal", False, f"{error}.", fix, os.EX_CONFIG)
    except TemporalUnavailable:
        return _bad("Temporal", "no answer.", "start it, or correct TEMPORAL_ADDRESS and TEMPORAL_TLS_*.")
    except RPCError as error:
        fix = "create it, or correct TEMPORAL_NAMESPACE and TEMPORAL_API_KEY."
        return _bad("Temporal", f"the namespace cannot be used ({error.status.name}).", fix)
    if problem is not None:
        return Finding("Temporal", False, problem, "lower the one or raise the other.", os.EX_CONFIG)
    text = f"namespace {client.namespace} at {client.service_client.config.target_host}."
    if settings.temporal.search_attributes == "auto" and not await shows_mailboxes(client, "auto"):
        return Finding("Temporal", True, f"{text[:-1]}, without search attributes.", "signin-worker temporal create")
    return Finding("Temporal", True, text)


async def retention_problem(client: Client, horizon_s: int) -> str | None:
    """Return a sentence if the namespace forgets too early. Raises as ``namespace_retention`` does."""
    retention = await namespace_retention(client)
    if retention >= timedelta(seconds=horizon_s):
        return None
    return (
        f"SIGNIN_REPLAY_HORIZON_S is {horizon_s}, above the {retention.total_seconds():.0f} s that Temporal's "
        f"namespace {client.namespace} remembers closed workflows (its retention)."
    )


async def check_smtp(settings: Settings) -> Finding:
    """Tell whether the mail server lets us in. Sends nothing."""
    place = f"{settings.smtp.host}:{settings.smtp.port}"
    mailer = smtp_mailer(settings)
    try:
        await mailer.probe()
    except (MailUnavailable, OSError):
        fix = "check SIGNIN_SMTP__HOST, __PORT, __SECURITY, __CAFILE, __USERNAME and __PASSWORD."
        return _bad("SMTP", f"{place} does not let us in.", fix)
    finally:
        await mailer.close()
    return Finding("SMTP", True, f"{place} lets us in.")


async def check_turnstile(settings: Settings) -> Finding:
    """Tell whether siteverify answers, by a token that it cannot know, and whether it knows our secret."""
    client = siteverify_client(settings)
    try:
        answer = await client.siteverify(token="signin-worker-check", ip=None, idempotency_key=str(uuid.uuid4()))
    except ChallengeUnavailable:
        fix = "check SIGNIN_TURNSTILE__URL and the network."
        return _bad("Turnstile", f"no usable answer from {settings.turnstile.url}.", fix)
    finally:
        await client.close()
    if "invalid-input-secret" in answer.error_codes:
        return _bad("Turnstile", "siteverify does not know the secret.", "correct SIGNIN_TURNSTILE__SECRET.")
    return Finding("Turnstile", True, f"{settings.turnstile.url} answers.")


async def check_dns(settings: Settings) -> Finding:
    """Tell whether DNS answers: ``.invalid`` does not exist (RFC 6761), so a yes means that nobody answered."""
    if not await mail_domains(settings).accept_mail("signin-worker-check.invalid"):
        return Finding("DNS", True, "answers.")
    fix = "check SIGNIN_DNS__NAMESERVERS and __PORT; until then every domain counts as deliverable."
    return _bad("DNS", "no answer.", fix)


def _bad(name: str, text: str, fix: str) -> Finding:
    return Finding(name, False, text, fix)


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
