"""Builds the client of each dependency from the settings."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType
from typing import Any, Final

from pydantic import SecretStr
from starlette.applications import Starlette
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.worker import Worker

from activities.addresses import Address
from activities.codes import CodeKeys
from activities.pseudonyms import Pseudonyms
from consumers.ports import DeadLetterReader, InboundWriter, ReplayStore
from schemas.policy import Policy
from schemas.status import Status, Trace
from schemas.topics import dead_letter_topic
from utils.dns import DnsMailDomains
from utils.endpoints import instance_place, request_resume
from utils.files import CredentialWatch, Reloaded, Secret, secret_file
from utils.kafka.access import KafkaAccess
from utils.kafka.dead_letters import KafkaDeadLetterReader, KafkaReplayStore
from utils.kafka.metadata import READ, WRITE
from utils.kafka.needs import KafkaNeeds
from utils.kafka.oauth import ClientCredentials
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES, MAX_RESULT_BYTES, ReliableProducer
from utils.kafka.source import KafkaSource
from utils.kafka.topics import DEFAULT_PARTITIONS, TopicPlan, planned_topics
from utils.kafka.writers import KafkaInboundWriter
from utils.prometheus_connections import ConnectionCollectors
from utils.settings.environment import variable_name
from utils.settings.loading import Settings, SettingsError
from utils.settings.sections import KafkaSettings
from utils.smtp.mail_templates import MailTemplates
from utils.smtp.mailer import SmtpMailer
from utils.status import StatusReader
from utils.temporal.client import connect, namespace_retention
from utils.temporal.codec_server import codec_app
from utils.temporal.limits import TemporalLimits
from utils.temporal.namespace import shows_mailboxes
from utils.temporal.payload_codec import EncryptionCodec
from utils.temporal.renewal import ClientRenewal
from utils.temporal.trace import trace_sign_in
from utils.turnstile import SiteverifyClient

_MAIL_MARGIN_S: Final = 1.0  # the mailer times out before its activity does, so that the error has a name

ReadStatus = Callable[[], Coroutine[Any, Any, Status]]


class Wiring:
    """Builds the clients. None of them connects before it is used.

    ``warnings``: what is odd about the settings. ``secret_files``: the files that secrets were
    read from, by variable; those that are credentials are read again when they change.
    """

    def __init__(
        self,
        settings: Settings,
        warnings: Sequence[str] = (),
        secret_files: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        kafka = settings.kafka
        keys = settings.keys

        self.settings = settings
        self.warnings = warnings
        self.inbound_topics = (kafka.requested_topic, kafka.submitted_topic)
        self.topics = (*self.inbound_topics, kafka.results_topic)
        self.replay_group = f"{kafka.group_id}.dlt-replay"
        self._secret_files = secret_files
        self._secrets: dict[str, Reloaded[str]] = {}
        self.kafka_access = self._kafka_access(kafka)
        self.pseudonyms = Pseudonyms(keys.account.get_secret_value())
        self.code_keys = CodeKeys(keys.code.get_secret_value())

    @property
    def written_topics(self) -> Sequence[str]:
        """The topics that the workers write to."""
        return [*map(dead_letter_topic, self.inbound_topics), self.settings.kafka.results_topic]

    @property
    def credential_files(self) -> list[Reloaded[Any]]:
        """All credentials that are read from files and may change."""
        return [*self._secrets.values(), *self.kafka_access.certificate_files]

    async def refresh_credentials(self) -> None:
        """Read the files with credentials again, and give Kafka's clients what is new. All others ask for it."""
        self.kafka_access.refresh()
        for secret in self._secrets.values():
            secret.value()

    @property
    def topic_plans(self) -> list[TopicPlan]:
        """The topics with the settings that they should have."""
        return self.plan_topics(DEFAULT_PARTITIONS)

    def plan_topics(self, partitions: int) -> list[TopicPlan]:
        """Return the topics with the settings that they should have, and so many partitions."""
        return planned_topics(*self.topics, partitions=partitions)

    def kafka_needs(self, *, consumes: bool, publishes: bool) -> KafkaNeeds:
        """Return what a process needs of Kafka that consumes events, publishes results, or both."""
        rights: dict[str, str] = {}
        if consumes:
            rights |= dict.fromkeys(self.inbound_topics, READ)
            rights |= {dead_letter_topic(topic): WRITE for topic in self.inbound_topics}
        if publishes:
            rights[self.settings.kafka.results_topic] = WRITE

        return KafkaNeeds(rights, self.settings.kafka.group_id if consumes else None)

    def dead_letters(self) -> AbstractAsyncContextManager[DeadLetterReader]:
        """Return a reader of the dead-letter topics. Entering it connects."""
        return KafkaDeadLetterReader(self.kafka_access)

    def replay_store(self) -> AbstractAsyncContextManager[ReplayStore]:
        """Return the store of what was put back. Entering it connects."""
        return KafkaReplayStore(self.kafka_access, self.replay_group)

    @asynccontextmanager
    async def inbound_writer(self) -> AsyncIterator[InboundWriter]:
        """Yield a writer that puts dead letters back on the inbound topics."""
        producer = ReliableProducer(self.kafka_access, max_request_bytes=MAX_DEAD_LETTER_BYTES)
        try:
            yield KafkaInboundWriter(producer)
        finally:
            await producer.close()

    def kafka_source(self) -> KafkaSource:
        """Return the consumer group's member."""
        kafka = self.settings.kafka
        return KafkaSource(
            self.kafka_access,
            kafka.group_id,
            self.inbound_topics,
            required_topics=self.written_topics,
            session_timeout_ms=kafka.session_timeout_ms,
            client_rack=kafka.client_rack,
        )

    def producer(
        self, name: str, metrics: ConnectionCollectors, max_request_bytes: int = MAX_RESULT_BYTES
    ) -> ReliableProducer:
        """Return a producer that the metrics know by this name."""
        on_replaced = metrics.count_replaced(name)
        producer = ReliableProducer(
            self.kafka_access,
            max_request_bytes=max_request_bytes,
            on_replaced=on_replaced,
        )
        metrics.watch_producer(name, producer)

        return producer

    def credential_watch(
        self, client: Client, workers: Sequence[Worker], runtime: Runtime, metrics: ConnectionCollectors
    ) -> CredentialWatch:
        """Return what gives all clients new credentials while they run. Build them first."""
        renewal = ClientRenewal(client, workers, lambda: self.temporal(runtime))
        metrics.watch_credentials([*self.credential_files, renewal])

        return CredentialWatch([self.refresh_credentials, renewal.refresh])

    async def temporal(self, runtime: Runtime | None = None) -> Client:
        """Connect to Temporal: a worker has a ``runtime``, and no retries. Raises as ``connect`` does."""
        payload_keys = self.settings.keys.payload.get_secret_value()
        return await connect(payload_keys, runtime=runtime, retries=runtime is None)

    async def worker_client(self, runtime: Runtime) -> Client:
        """Connect to Temporal. Also raises ``SettingsError`` if the namespace's retention is too short."""
        client = await self.temporal(runtime)
        if problem := await self.retention_problem(client):
            raise SettingsError([problem])
        return client

    async def retention_problem(self, client: Client) -> str | None:
        """Return a sentence if the namespace's retention is too short. Raises as ``namespace_retention`` does."""
        horizon_s = self.settings.replay_horizon_s
        retention_s = (await namespace_retention(client)).total_seconds()
        if retention_s >= horizon_s:
            return None

        return (
            f"SIGNIN_REPLAY_HORIZON_S is {horizon_s}, but Temporal's namespace {client.namespace} "
            f"forgets closed workflows after {retention_s:.0f} s (its retention)."
        )

    async def policy(self, client: Client) -> Policy:
        """Return the policy that workflows start with. The namespace decides if it has search attributes."""
        visible = await shows_mailboxes(client, self.settings.temporal.search_attributes)
        return self.settings.policy().model_copy(update={"search_attributes": visible})

    async def limits(self) -> TemporalLimits:
        """Connect to the mailboxes' budgets. Raises as ``temporal`` does."""
        return TemporalLimits(await self.temporal())

    async def trace(self, signin_id: str, address: Address | None) -> Trace:
        """Return the trace of a sign-in. ``address`` finds its mailbox where Temporal no longer knows the request."""
        mailbox = None if address is None else self.pseudonyms.mailbox(address)
        client = await self.temporal()
        return await trace_sign_in(client, self.kafka_access, self.topics, signin_id, mailbox)

    def status_reader(self) -> ReadStatus:
        """Return a function that asks Kafka, Temporal and the worker at ``SIGNIN_HTTP__HOST`` for their status."""
        settings = self.settings
        reader = StatusReader(
            self.kafka_access,
            settings.kafka.group_id,
            self.inbound_topics,
            self.temporal,
            settings.temporal.task_queue,
            f"http://{instance_place(settings.http.host, settings.http.port)}",
        )
        return reader.read

    async def resume(self) -> bool:
        """Resume the consumer at ``SIGNIN_HTTP__HOST``; return if it was stopped. Raises ``InstanceUnavailable``."""
        return await request_resume(self.settings.http.host, self.settings.http.port)

    def mailer(self) -> SmtpMailer:
        """Return the mail server's client."""
        smtp = self.settings.smtp
        attempt_s = self.settings.times.mail_attempt_s

        return SmtpMailer(
            host=smtp.host,
            port=smtp.port,
            security=smtp.security,
            sender=smtp.sender,
            renderer=MailTemplates(self.settings.mail.templates),
            username=smtp.username,
            password=self._secret("smtp", "password"),
            cafile=smtp.cafile,
            mails_per_connection=smtp.mails_per_connection,
            timeout_s=max(attempt_s - _MAIL_MARGIN_S, attempt_s / 2),
        )

    def siteverify(self) -> SiteverifyClient:
        """Return Turnstile's client."""
        turnstile = self.settings.turnstile
        secret = self._secret("turnstile", "secret")
        assert secret is not None, "it has a default"
        return SiteverifyClient(turnstile.url, secret)

    def mail_domains(self) -> DnsMailDomains:
        """Return the DNS client."""
        return DnsMailDomains(self.settings.dns.nameservers, self.settings.dns.port)

    def codec_app(self) -> Starlette:
        """Return the codec server. Raises ``SettingsError`` without a token, since it shows addresses."""
        server = self.settings.codec_server
        if server.token is None:
            raise SettingsError(["SIGNIN_CODEC_SERVER__TOKEN is missing: draw 32 characters or more at random."])

        codec = EncryptionCodec(self.settings.keys.payload.get_secret_value())
        return codec_app(codec, server.token.get_secret_value(), server.origins)

    def _kafka_access(self, kafka: KafkaSettings) -> KafkaAccess:
        return KafkaAccess(
            bootstrap_servers=",".join(kafka.bootstrap_servers),
            security_protocol=kafka.security_protocol,
            sasl_mechanism=kafka.sasl_mechanism,
            username=kafka.sasl_username,
            password=self._secret("kafka", "sasl_password"),
            cafile=kafka.ssl_cafile,
            certfile=kafka.ssl_certfile,
            keyfile=kafka.ssl_keyfile,
            tokens=self._kafka_tokens(kafka),
        )

    def _kafka_tokens(self, kafka: KafkaSettings) -> ClientCredentials | None:
        secret = self._secret("kafka", "oauth_client_secret")
        if kafka.oauth_token_url is None or kafka.oauth_client_id is None or secret is None:
            return None
        return ClientCredentials(kafka.oauth_token_url, kafka.oauth_client_id, secret, kafka.oauth_scope)

    def _secret(self, section: str, name: str) -> Secret | None:
        """Return a secret of the settings. If it was read from a file, it follows the file."""
        setting: SecretStr | None = getattr(getattr(self.settings, section), name)
        if setting is None:
            return None

        variable = variable_name(section, name)
        if variable not in self._secret_files:
            return setting.get_secret_value()

        file = self._secret_files[variable]
        return self._secrets.setdefault(variable, secret_file(variable, file, setting.get_secret_value()))


Wire = Callable[..., Wiring]
"""Reads the settings and returns the wiring.

Its arguments are prefixes of variables. Raises ``SettingsError`` if a variable with one of them is wrong.
"""
