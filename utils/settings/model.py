"""Every setting of the worker (CONTRACT: settings), as pydantic-settings reads them from the environment.

Types and ranges stand here, what is unsafe or missing in ``settings``. The text under a field is for ``check --help``.
"""

import os
import re
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from activities.addresses import parse_address
from schemas.policy import LimitPolicy, OtpPolicy, Policy, TimePolicy
from schemas.topics import REQUESTED_TOPIC, RESULTS_TOPIC, SUBMITTED_TOPIC
from utils.settings.environment import DELIMITER, PREFIX
from utils.settings.key_rings import Key, KeyRing, random_key, random_key_ring
from workflows.names import mail_task_queue

SITEVERIFY_URL: Final = "https://challenges.cloudflare.com/turnstile/v0/siteverify"
# https://developers.cloudflare.com/turnstile/troubleshooting/testing/: passes, fails, token already spent.
TEST_SECRETS: Final = tuple(f"{digit}x0000000000000000000000000000000AA" for digit in (1, 2, 3))
_SHORTEST_TOKEN: Final = 32
_ORIGIN: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_HIGHEST_PORT: Final = 65_535
_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(:(?P<port>[0-9]{1,5}))?")


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _sender(value: str) -> str:
    name, address = parseaddr(value)
    if parse_address(address) is None or not name.isprintable():
        raise ValueError('must be like no-reply@example.com or "Sign-in <no-reply@example.com>"')
    return value


def _ip_addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    for place, value in enumerate(values, start=1):
        try:
            ip_address(value)
        except ValueError:
            raise ValueError(f"entry {place} must be an IP address") from None
    return values


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError("names no folder")
    return path


def _readable_file(value: str) -> str:
    if not os.access(value, os.R_OK):
        raise ValueError("names a file that cannot be read: check path and rights")
    return value


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < _SHORTEST_TOKEN:
        raise ValueError(f"is shorter than {_SHORTEST_TOKEN} characters: draw one at random")
    return value


def _origins(values: tuple[str, ...]) -> tuple[str, ...]:
    for place, value in enumerate(values, start=1):
        if not _ORIGIN.fullmatch(value):
            raise ValueError(f"entry {place} must be like https://temporal.example.com, without a path")
    return values


def _url(value: str) -> str:
    if not value.startswith(("https://", "http://")):
        raise ValueError("must start with https://")
    return value


def _brokers(values: tuple[str, ...]) -> tuple[str, ...]:
    for place, value in enumerate(values, start=1):
        broker = _BROKER.fullmatch(value)
        if broker is None or not 1 <= int(broker["port"] or 9092) <= _HIGHEST_PORT:
            raise ValueError(f"entry {place} must be host:port")
    return values


CommaList = Annotated[tuple[str, ...], BeforeValidator(_split)]
Port = Annotated[int, Field(ge=1, le=_HIGHEST_PORT)]
File = Annotated[str, AfterValidator(_readable_file)]
Folder = Annotated[Path, AfterValidator(_folder)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,245}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class KafkaSettings(_Section):
    """Where the events are."""

    bootstrap_servers: Annotated[CommaList, Field(min_length=1), AfterValidator(_brokers)] = ("localhost:9092",)
    """host:port of one broker or more"""
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], BeforeValidator(str.upper)
    ] = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"""
    sasl_mechanism: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], BeforeValidator(str.upper)] = "PLAIN"
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"""
    sasl_username: str | None = None
    """needed with SASL"""
    sasl_password: SecretStr | None = None
    """needed with SASL"""
    ssl_cafile: File | None = None
    """file of the authorities to trust; the system's by default"""
    ssl_certfile: File | None = None
    """file of the client's certificate"""
    ssl_keyfile: File | None = None
    """file of the client's private key"""
    group_id: str = "signin-worker"
    """consumer group"""
    requested_topic: Topic = REQUESTED_TOPIC
    """topic of sign-in requests"""
    submitted_topic: Topic = SUBMITTED_TOPIC
    """topic of typed codes"""
    results_topic: Topic = RESULTS_TOPIC
    """topic of results"""


class TemporalSettings(_Section):
    """What Temporal's own variables do not say."""

    task_queue: str = "signin"
    """task queue of requests; mailboxes and mail have their own, with -mailbox and -mail appended"""
    search_attributes: Annotated[Literal["auto", "on", "off"], BeforeValidator(str.lower)] = "auto"
    """whether mailboxes set search attributes: auto does if the namespace knows them (signin-worker temporal create)"""


class SmtpSettings(_Section):
    """The mail server."""

    host: str = "localhost"
    """name of the mail server; needed in production"""
    port: Port = 587
    """port of the mail server"""
    security: Annotated[Literal["starttls", "tls", "none"], BeforeValidator(str.lower)] = "starttls"
    """starttls, tls (from the first byte, mostly port 465) or none (refused in production)"""
    username: str | None = None
    """user name, if the server wants a login"""
    password: SecretStr | None = None
    """password, if the server wants a login"""
    sender: Annotated[str, AfterValidator(_sender)] = "signin@signin-worker.test"
    """whom mails come from, with a name if you like; needed in production"""
    cafile: File | None = None
    """file of the authorities to trust; the system's by default"""
    mails_per_connection: int = Field(50, ge=1)
    """mails that one connection takes, one after the other; 1: a connection a mail"""

    @property
    def message_id_domain(self) -> str:
        """The right-hand side of every ``Message-ID``: the sender's domain."""
        return parseaddr(self.sender)[1].rpartition("@")[2]


class MailSettings(_Section):
    """The mail itself."""

    templates: Folder | None = None
    """folder of sentences and layouts of your own, which go before those that are shipped (docs/mail.md)"""


class TurnstileSettings(_Section):
    """Cloudflare's check for persons."""

    secret: SecretStr = SecretStr(TEST_SECRETS[0])
    """your widget's secret; needed in production"""
    url: Annotated[str, AfterValidator(_url)] = SITEVERIFY_URL
    """where tokens are verified"""
    hostnames: CommaList = ()
    """host names of your pages; needed in production"""
    action: str = "signin"
    """your widget's action"""
    max_token_age_s: Annotated[int, Field(ge=1)] = 300
    """seconds since the person solved the challenge; Cloudflare itself takes 300"""

    @property
    def has_test_secret(self) -> bool:
        """Whether any token passes, or none does: one of Cloudflare's test secrets, which production refuses."""
        return self.secret.get_secret_value() in TEST_SECRETS


class DnsSettings(_Section):
    """Who is asked whether a domain takes mail."""

    nameservers: Annotated[CommaList, AfterValidator(_ip_addresses)] = ()
    """addresses of name servers; the system's by default"""
    port: Port = 53
    """port of the name servers"""


class KeySettings(_Section):
    """Secrets of our own."""

    account: Key = Field(default_factory=random_key)
    """base64 of 32 bytes: account pseudonyms. Cannot be rotated; needed in production"""
    code: KeyRing = Field(default_factory=random_key_ring)
    """ring id:base64,id:base64, newest first: codes; needed in production"""
    payload: KeyRing = Field(default_factory=random_key_ring)
    """ring id:base64,id:base64, newest first: what Temporal stores; needed in production"""


class OtpSettings(_Section):
    """The one-time code."""

    digits: Annotated[int, Field(ge=6, le=10)] = 8
    """digits of a code, 6 to 10"""
    lifetime_s: Annotated[int, Field(ge=5, le=600)] = 300
    """seconds that a code is valid, 5 to 600"""
    max_attempts: Annotated[int, Field(ge=1, le=5)] = 5
    """tries per sign-in, 1 to 5"""
    shortest_resend_s: Annotated[int, Field(ge=0)] = 60
    """a code with fewer seconds left is not sent again"""


class LimitSettings(_Section):
    """Budgets: sends per mailbox, failures per account."""

    send_cooldown_s: Annotated[int, Field(ge=0)] = 60
    """seconds between two mails of one sign-in"""
    sends_per_hour: Annotated[int, Field(ge=1)] = 5
    """mails per mailbox and hour"""
    sends_per_day: Annotated[int, Field(ge=2)] = 20
    """mails per mailbox and day, at least 2: one network gets half"""
    failures_per_hour: Annotated[int, Field(ge=1)] = 10
    """wrong codes per account and hour"""
    failures_per_day: Annotated[int, Field(ge=2)] = 20
    """wrong codes per account and day, at least 2: one network gets half"""
    failures_in_a_row: Annotated[int, Field(ge=1)] = 100
    """wrong codes without a success after which an account is locked for a day"""
    trusted_failures_per_day: Annotated[int, Field(ge=1)] = 5
    """wrong codes per account and day from devices that the emitter trusts"""
    mails_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """mails per second of all workers together; no limit by default"""


class TimeSettings(_Section):
    """How long the workflows wait for others."""

    unknown_signin_wait_s: Annotated[float, Field(gt=0, le=60)] = 10
    """seconds that a code waits for its sign-in"""
    first_attempt_wait_s: Annotated[float, Field(gt=0, le=600)] = 60
    """seconds that an attempt from 2 on waits for attempt 1"""
    challenge_s: Annotated[float, Field(gt=0, le=300)] = 30
    """seconds that Turnstile is tried for"""
    mail_attempt_s: Annotated[float, Field(gt=0, le=60)] = 10
    """seconds of one try to send a mail"""
    linger_s: Annotated[int, Field(ge=1)] = 86_400
    """seconds that a mailbox stays open after its last mail or failure; budgets reach back a day"""


class ConsumerSettings(_Section):
    """How much the consumer takes on."""

    max_in_flight: Annotated[int, Field(ge=1)] = 512
    """records of different keys in flight side by side; up to 16 times as many may queue behind them"""
    max_in_flight_bytes: Annotated[int, Field(ge=65_536)] = 16 * 1024 * 1024
    """bytes of records in flight"""
    max_calls: Annotated[int, Field(ge=1)] = 64
    """most calls to Temporal under way at once; below that the number adapts to what the server can do"""
    drain_s: Annotated[float, Field(gt=0, le=20)] = 15
    """seconds that records in flight have to finish at the end or in a rebalance"""
    head_of_line_s: Annotated[float, Field(gt=0)] = 60
    """seconds in work after which a record that holds its partition back is logged"""
    stall_s: Annotated[float, Field(ge=1)] = 50
    """seconds without progress, while Kafka answers, after which the consumer is rebuilt; again, and it ends with 70"""


class DeadLetterSettings(_Section):
    """Dead letters."""

    breaker_per_minute: Annotated[int, Field(ge=0)] = 10_000
    """dead letters in a minute that stop the consumer; 0 = off"""


class HttpSettings(_Section):
    """Where /livez, /readyz and /metrics are served."""

    host: str = "127.0.0.1"
    """address to listen on"""
    port: Port = 8080
    """port to listen on"""


class CodecServerSettings(_Section):
    """What ``signin-worker codec-server`` needs beside the payload keys."""

    host: str = "127.0.0.1"
    """address that the codec server listens on"""
    port: Port = 8081
    """port that the codec server listens on"""
    token: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    """what callers of the codec server must bring as Authorization: Bearer; 32 characters or more"""
    origins: Annotated[CommaList, AfterValidator(_origins)] = ()
    """Temporal web UIs whose pages may call the codec server, such as https://temporal.example.com"""


class LogSettings(_Section):
    """The log, to stderr."""

    format: Annotated[Literal["json", "console"] | None, BeforeValidator(str.lower)] = None
    """json or console; by default json, and console on a terminal"""
    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)] = "info"
    """debug, info, warning or error"""


class Settings(BaseSettings):
    """All of them. Sections have defaults that suit development; production needs more (``utils.settings.loading``)."""

    model_config = SettingsConfigDict(
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        enable_decoding=False,  # lists are comma-separated, not JSON
    )

    environment: Annotated[Literal["production", "development"], BeforeValidator(str.lower)] = "production"
    """production or development; development allows test secrets, plain SMTP and keys made on the fly"""
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    temporal: TemporalSettings = Field(default_factory=TemporalSettings)
    smtp: SmtpSettings = Field(default_factory=SmtpSettings)
    mail: MailSettings = Field(default_factory=MailSettings)
    turnstile: TurnstileSettings = Field(default_factory=TurnstileSettings)
    dns: DnsSettings = Field(default_factory=DnsSettings)
    keys: KeySettings = Field(default_factory=KeySettings)
    otp: OtpSettings = Field(default_factory=OtpSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    times: TimeSettings = Field(default_factory=TimeSettings)
    max_event_age_s: Annotated[int, Field(ge=1)] = 300
    """seconds after which a request is stale; a code is late after that plus the lifetime"""
    replay_horizon_s: Annotated[int, Field(ge=1)] = 86_400
    """seconds after which an event is ignored; at most the retention of Temporal's namespace"""
    consumer: ConsumerSettings = Field(default_factory=ConsumerSettings)
    dead_letters: DeadLetterSettings = Field(default_factory=DeadLetterSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    codec_server: CodecServerSettings = Field(default_factory=CodecServerSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is given only: ``load_settings`` reads the environment, the one it is handed."""
        return (init_settings,)

    def policy(self) -> Policy:
        """Return the numbers that travel into the workflows."""
        return Policy(
            otp=OtpPolicy.model_validate(self.otp.model_dump()),
            limits=LimitPolicy.model_validate(self.limits.model_dump()),
            times=TimePolicy(max_event_age_s=self.max_event_age_s, **self.times.model_dump()),
            mail_task_queue=mail_task_queue(self.temporal.task_queue),
        )
