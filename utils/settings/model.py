"""All settings as one model, read from environment variables by ``utils.settings.loading``."""

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.policy import MAX_EVENT_AGE_S, YEAR_S, LimitPolicy, OtpPolicy, Policy, TimePolicy, WaitPolicy
from utils.settings.environment import DELIMITER, PREFIX
from utils.settings.field_types import Lower
from utils.settings.guesses import guess_probability
from utils.settings.sections import (
    CodecServerSettings,
    ConsumerSettings,
    DeadLetterSettings,
    DnsSettings,
)
from utils.settings.sections import (
    HttpSettings,
    KafkaSettings,
    KeySettings,
    LimitSettings,
    LogSettings,
)
from utils.settings.sections import MailSettings, SmtpSettings, TemporalSettings, TurnstileSettings
from workflows.names import mail_task_queue


class Settings(BaseSettings):
    """All settings. The defaults suit development; ``utils.settings.rules`` tells what production requires."""

    model_config = SettingsConfigDict(
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        enable_decoding=False,  # lists are comma-separated, not JSON
    )

    environment: Annotated[Literal["production", "development"], Lower] = "production"
    """production or development; development allows test secrets, unencrypted SMTP and keys made at start"""
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    temporal: TemporalSettings = Field(default_factory=TemporalSettings)
    smtp: SmtpSettings = Field(default_factory=SmtpSettings)
    mail: MailSettings = Field(default_factory=MailSettings)
    turnstile: TurnstileSettings = Field(default_factory=TurnstileSettings)
    dns: DnsSettings = Field(default_factory=DnsSettings)
    keys: KeySettings = Field(default_factory=KeySettings)
    otp: OtpPolicy = Field(default_factory=OtpPolicy)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    times: WaitPolicy = Field(default_factory=WaitPolicy)
    max_event_age_s: int = Field(MAX_EVENT_AGE_S, ge=1, le=YEAR_S)
    """Seconds after which a request is stale; a submitted code is late after this plus the code's lifetime"""
    replay_horizon_s: int = Field(86_400, ge=1, le=YEAR_S)
    """Seconds after which an event is ignored; at most the retention of Temporal's namespace"""
    consumer: ConsumerSettings = Field(default_factory=ConsumerSettings)
    dead_letters: DeadLetterSettings = Field(default_factory=DeadLetterSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    codec_server: CodecServerSettings = Field(default_factory=CodecServerSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the arguments only: ``load_settings`` reads the environment that it is given."""
        return (init_settings,)

    @property
    def guess_probability(self) -> float:
        """The probability that someone guesses their way into an account within a year (SECURITY S18)."""
        tries_per_day = self.limits.failures_per_day + self.limits.trusted_failures_per_day
        return guess_probability(digits=self.otp.digits, tries_per_day=tries_per_day)

    def policy(self) -> Policy:
        """Return the numbers that travel into the workflows."""
        return Policy(
            otp=self.otp,
            limits=LimitPolicy.model_validate(self.limits.model_dump()),
            times=TimePolicy(max_event_age_s=self.max_event_age_s, **self.times.model_dump()),
            mail_task_queue=mail_task_queue(self.temporal.task_queue),
        )
