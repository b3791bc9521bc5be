"""What the worker depends on: the client of each, by the settings."""

from datetime import timedelta

from pydantic import SecretStr
from starlette.applications import Starlette
from temporalio.client import Client
from temporalio.runtime import Runtime

from schemas.policy import Policy
from utils.temporal.codec_server import codec_app
from utils.dns import DnsMailDomains
from utils.kafka.access import KafkaAccess
from utils.kafka.topics import TopicPlan, planned_topics
from utils.smtp.mail_templates import MailTemplates
from utils.temporal.payload_codec import EncryptionCodec
from utils.settings.loading import Settings, SettingsError
from utils.smtp.mailer import SmtpMailer
from utils.temporal.client import connect, namespace_retention
from utils.temporal.namespace import NamespaceReport, create_namespace, shows_mailboxes
from utils.turnstile import SiteverifyClient

_MAIL_MARGIN_S = 1.0  # the mailer gives up before its activity is given up, so that the error has a name


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


def replay_group(settings: Settings) -> str:
    """Return the group under which it is remembered which dead letters were put back."""
    return f"{settings.kafka.group_id}.dlt-replay"


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


async def retention_problem(client: Client, horizon_s: int) -> str | None:
    """Return a sentence if the namespace forgets too early. Raises as ``namespace_retention`` does."""
    retention = await namespace_retention(client)
    if retention >= timedelta(seconds=horizon_s):
        return None
    return (
        f"SIGNIN_REPLAY_HORIZON_S is {horizon_s}, above the {retention.total_seconds():.0f} s that Temporal's "
        f"namespace {client.namespace} remembers closed workflows (its retention)."
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
