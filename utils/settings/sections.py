"""The sections of the settings (CONTRACT: settings): types, ranges and defaults.

The text below a field is its help in ``signin-worker check --help`` and in
docs/reference.md.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from schemas.policy import YEAR_S, LimitPolicy
from schemas.topics import REQUESTED_TOPIC, RESULTS_TOPIC, SUBMITTED_TOPIC
from utils.settings.field_types import (
    AuthoritiesFile,
    Brokers,
    BuildId,
    CommaList,
    DeploymentName,
    File,
    Folder,
    IpAddresses,
    Lower,
    Origins,
    Port,
    Sender,
)
from utils.settings.field_types import Token, Topic, Upper, Url
from utils.settings.key_rings import Key, KeyRing, random_key, random_key_ring
from utils.smtp.message import sender_address

SITEVERIFY_URL: Final = "https://challenges.cloudflare.com/turnstile/v0/siteverify"
TEST_SECRETS: Final = tuple(f"{digit}x0000000000000000000000000000000AA" for digit in (1, 2, 3))
"""Always passes, always fails, token already spent.

https://developers.cloudflare.com/turnstile/troubleshooting/testing/
"""


def package_version() -> str:
    """Return the version of this package; in a source tree, where none is installed, ``source``."""
    try:
        return version("signin-worker")
    except PackageNotFoundError:
        return "source"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class KafkaSettings(_Section):
    """How to reach Kafka, and which topics to use."""

    bootstrap_servers: Brokers = ("localhost:9092",)
    """One or more brokers, as host:port"""
    security_protocol: Annotated[Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], Upper] = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT (in production only with SCRAM) or SASL_SSL"""
    sasl_mechanism: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"], Upper] = "PLAIN"
    """PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"""
    sasl_username: str | None = None
    """User name; required with SASL, except OAUTHBEARER"""
    sasl_password: SecretStr | None = None
    """Password; required with SASL, except OAUTHBEARER"""
    oauth_token_url: Url | None = None
    """URL of the token endpoint that issues access tokens; required with OAUTHBEARER"""
    oauth_client_id: str | None = None
    """Client id at the token endpoint; required with OAUTHBEARER"""
    oauth_client_secret: SecretStr | None = None
    """Client secret at the token endpoint; required with OAUTHBEARER"""
    oauth_scope: str | None = None
    """Scope to ask for, if the token endpoint requires one"""
    ssl_cafile: File | None = None
    """File of trusted certificate authorities; the system's by default"""
    ssl_certfile: File | None = None
    """File of the client certificate"""
    ssl_keyfile: File | None = None
    """File of the client's private key"""
    client_rack: str | None = None
    """Rack of this worker: it reads from replicas in the same rack, if the brokers' replica selector is rack-aware"""
    group_id: str = "signin-worker"
    """Consumer group"""
    session_timeout_ms: int = Field(6_000, ge=1_000, le=1_800_000)
    """Milliseconds without a heartbeat until the group takes a worker's partitions away"""
    requested_topic: Topic = REQUESTED_TOPIC
    """Topic of sign-in requests"""
    submitted_topic: Topic = SUBMITTED_TOPIC
    """Topic of submitted codes"""
    results_topic: Topic = RESULTS_TOPIC
    """Topic of results"""


class TemporalSettings(_Section):
    """What Temporal's own variables do not cover."""

    task_queue: str = "signin"
    """Task queue of requests; mailboxes and mails append -mailbox and -mail; hard to rename (docs/upgrading.md)"""
    deployment: DeploymentName | None = None
    """Worker deployment of this worker; without one, stop one release before you start the next (docs/upgrading.md)"""
    build_id: BuildId = Field(default_factory=package_version)
    """Release of this worker within its deployment; the package's version by default"""
    search_attributes: Annotated[Literal["auto", "on", "off"], Lower] = "auto"
    """Whether mailboxes set search attributes; auto does if the namespace has them (signin-worker temporal create)"""


class SmtpSettings(_Section):
    """The mail server."""

    host: str = "localhost"
    """Host name of the mail server; required in production"""
    port: Port = 587
    """Port of the mail server"""
    security: Annotated[Literal["starttls", "tls", "none"], Lower] = "starttls"
    """starttls, tls (from the first byte, usually on port 465) or none (refused in production)"""
    username: str | None = None
    """User name, if the server requires a login"""
    password: SecretStr | None = None
    """Password, if the server requires a login"""
    sender: Sender = "signin@signin-worker.test"
    """From address, optionally with a display name; required in production"""
    cafile: AuthoritiesFile | None = None
    """File of trusted certificate authorities; the system's by default"""
    mails_per_connection: int = Field(50, ge=1)
    """Mails to send over one connection, one after the other; 1 opens a connection for each mail"""

    @property
    def message_id_domain(self) -> str:
        """The right-hand side of every ``Message-ID``: the sender's domain, as A-labels."""
        return sender_address(self.sender).domain


class MailSettings(_Section):
    """The mail itself."""

    templates: Folder | None = None
    """Folder of your own sentences and layouts, which override those that are shipped (docs/mail.md)"""


class TurnstileSettings(_Section):
    """Cloudflare Turnstile."""

    secret: SecretStr = SecretStr(TEST_SECRETS[0])
    """Secret key of your widget; required in production"""
    url: Url = SITEVERIFY_URL
    """URL that verifies tokens"""
    hostnames: CommaList = ()
    """Host names of your sign-in pages; required in production"""
    action: str = "signin"
    """Action of your widget"""
    max_token_age_s: int = Field(300, ge=1, le=YEAR_S)
    """Maximum seconds since the challenge was solved; Cloudflare itself allows 300"""

    @property
    def has_test_secret(self) -> bool:
        """Whether the secret is one of Cloudflare's test secrets, which production refuses."""
        return self.secret.get_secret_value() in TEST_SECRETS


class DnsSettings(_Section):
    """The name servers that tell whether a domain accepts mail."""

    nameservers: IpAddresses = ()
    """IP addresses of name servers; the system's by default"""
    port: Port = 53
    """Port of the name servers"""


class KeySettings(_Section):
    """The worker's own keys."""

    account: Key = Field(default_factory=random_key)
    """Key of account pseudonyms, base64 of 32 bytes. Cannot be rotated; required in production"""
    code: KeyRing = Field(default_factory=random_key_ring)
    """Keys of codes, as id:base64,id:base64 with the newest first; required in production"""
    payload: KeyRing = Field(default_factory=random_key_ring)
    """Keys that encrypt Temporal's payloads, as id:base64,id:base64 with the newest first; required in production"""


class LimitSettings(LimitPolicy):
    """Budgets, and the pace of mails."""

    mails_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Mails per second across all workers; unlimited by default"""


class ConsumerSettings(_Section):
    """How much the consumer takes on."""

    max_in_flight: int = Field(512, ge=1)
    """Records with different keys in flight at once; up to 16 times as many can queue behind them"""
    max_in_flight_bytes: int = Field(16 * 1024 * 1024, ge=65_536)
    """Bytes of records in flight"""
    max_calls: int = Field(64, ge=1)
    """Maximum concurrent calls to Temporal; the actual limit adapts to the server"""
    drain_s: float = Field(15, gt=0, le=20)
    """Seconds that records in flight get to finish at shutdown or in a rebalance"""
    head_of_line_s: float = Field(60, gt=0)
    """Seconds after which a record that holds its partition back is logged"""
    stall_s: float = Field(50, ge=1)
    """Seconds without progress, while Kafka answers, until the consumer is rebuilt; a second stall exits with 70"""


class DeadLetterSettings(_Section):
    """Dead letters."""

    breaker_per_minute: int = Field(10_000, ge=0)
    """Dead letters per minute above which the consumer stops; 0 disables this, and the next two"""
    breaker_share: float = Field(0.9, ge=0, le=1)
    """Share of a topic's records in a minute at which dead letters stop the consumer; 0 disables this"""
    breaker_share_floor: int = Field(500, ge=1)
    """Dead letters of a topic in a minute below which their share does not matter"""


class HttpSettings(_Section):
    """The listener of /livez, /readyz and /metrics."""

    host: str = "127.0.0.1"
    """Address to listen on"""
    port: Port = 8080
    """Port to listen on"""


class CodecServerSettings(_Section):
    """What ``signin-worker codec-server`` needs besides the payload keys."""

    host: str = "127.0.0.1"
    """Address that the codec server listens on"""
    port: Port = 8081
    """Port that the codec server listens on"""
    token: Token | None = None
    """Bearer token that callers of the codec server must send; at least 32 characters"""
    origins: Origins = ()
    """Temporal web UIs whose pages may call the codec server, such as https://temporal.example.com"""


class LogSettings(_Section):
    """The log, on stderr."""

    format: Annotated[Literal["json", "console"] | None, Lower] = None
    """json or console; by default console on a terminal and json otherwise"""
    level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = "info"
    """debug, info, warning or error"""
