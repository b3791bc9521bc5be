"""The settings, from environment variables that begin with ``WEB_LOGIN_``."""

import secrets
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_LOOPBACK: Final = ("localhost", "127.0.0.1")


class Settings(BaseSettings):
    """``lifetime_s`` and ``max_codes`` must be the worker's; ``resend_after_s`` is its cooldown, and a bit more.

    ``origin`` is the page's own, as browsers name it. Browsers and instances share ``secret``.
    Without ``site_key`` there is no widget: ``test_token`` is sent, a pattern for a stand-in of
    Turnstile's service.
    """

    model_config = SettingsConfigDict(env_prefix="WEB_LOGIN_")

    origin: str = "http://localhost:8000"
    host: str = "127.0.0.1"
    port: int = 8000
    secret: SecretStr = SecretStr("")

    bootstrap_servers: str = "localhost:9092"
    requested_topic: str = "signin.requested"
    submitted_topic: str = "otp.submitted"
    results_topic: str = "signin.results"

    site_key: str = ""
    test_token: str = "test.{signin_id}.{random}"

    lifetime_s: float = Field(300, ge=5, le=600)
    max_codes: int = Field(5, ge=1, le=5)
    resend_after_s: float = Field(65, ge=1)
    verdict_within_s: float = Field(2, gt=0)

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the page by TLS. On the loopback interface they need not."""
        return self.origin.startswith("https://")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.origin = self.origin.rstrip("/")
        if not self.is_secure and urlsplit(self.origin).hostname not in _LOOPBACK:
            raise ValueError("origin must begin with https://, except on the loopback interface")

        if not self.secret.get_secret_value():
            if self.is_secure:
                raise ValueError("secret is missing: all instances need the same, across restarts")
            self.secret = SecretStr(secrets.token_urlsafe())

        return self
