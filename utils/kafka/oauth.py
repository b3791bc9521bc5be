"""Access tokens for OAUTHBEARER, from an OAuth 2.0 token endpoint by client credentials (RFC 6749, section 4.4)."""

import asyncio
import base64
import json
import logging
import time
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus

import aiohttp
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from consumers.ports import Stopwatch
from utils.files import Secret, reveal
from utils.http_answers import new_session, read_body

logger = logging.getLogger(__name__)

_TIMEOUT_S: Final = 10.0
_RENEW_AFTER: Final = 0.75
"""The share of its lifetime after which a token is renewed."""
_MAX_AGE_S: Final = 300.0
"""A token is used no longer than this: the issuer may withdraw it, or sign with another key, without telling us."""
_RETRY_AFTER_S: Final = 1.0
"""After a failure. aiokafka itself tries to connect, and asks for a token, fifty times a second."""
_DEFAULT_LIFETIME_S: Final = 60.0
_OK: Final = 200


class TokenRefused(ValueError):
    """Raised when the endpoint answers with another status than 200. Its text names the status."""


class _Token(NamedTuple):
    text: str
    renew_at: float
    expires_at: float


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc] # aiokafka has no types
    """Gets tokens and keeps each for three quarters of its lifetime, at most five minutes.

    While the endpoint is away, the last token is used until it expires. The secret is read for
    each request, so a new one needs no restart.
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: Secret,
        scope: str | None = None,
        stopwatch: Stopwatch = time.monotonic,
    ) -> None:
        self._token_url = token_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = scope
        self._stopwatch = stopwatch
        self._token: _Token | None = None
        self._retry_at = stopwatch()
        self._requesting = asyncio.Lock()

    @property
    def client_id(self) -> str:
        """The name that we log in with."""
        return self._client_id

    async def token(self) -> str:
        """Return a token that is valid for a while. aiokafka asks for one with each connection.

        Raises ``KafkaConnectionError``, which aiokafka takes for a broker that is away: it tries again.
        """
        async with self._requesting:
            now = self._stopwatch()
            if now >= self._retry_at and (self._token is None or now >= self._token.renew_at):
                await self._renew()

        if self._token is None or self._stopwatch() >= self._token.expires_at:
            raise KafkaConnectionError("no access token")
        return self._token.text

    async def _renew(self) -> None:
        try:
            self._token = await self._request()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            self._retry_at = self._stopwatch() + _RETRY_AFTER_S
            logger.warning("no new access token for Kafka", extra={"error": _described(error)})

    async def _request(self) -> _Token:
        form = {"grant_type": "client_credentials"}
        if self._scope is not None:
            form["scope"] = self._scope
        asked_at = self._stopwatch()

        async with (
            asyncio.timeout(_TIMEOUT_S),
            new_session() as session,
            session.post(
                self._token_url,
                data=form,
                headers={"Authorization": self._login()},
                allow_redirects=False,
            ) as response,
        ):
            body = await read_body(response)

        if response.status != _OK:
            raise TokenRefused(f"status {response.status}")
        return _parse(json.loads(body), asked_at)

    def _login(self) -> str:
        """Return the client's login. Its parts are form-encoded first (RFC 6749, section 2.3.1)."""
        parts = (self._client_id, reveal(self._client_secret))
        return "Basic " + base64.b64encode(":".join(map(quote_plus, parts)).encode()).decode()


def _parse(document: Any, asked_at: float) -> _Token:
    """Return the token in an answer. Raises ``ValueError`` if there is none."""
    if not isinstance(document, dict):
        raise ValueError("not the form of RFC 6749")

    text = document.get("access_token")
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text:
        raise ValueError("no access token")

    lifetime_s = _lifetime_s(document.get("expires_in"))
    keep_s = min(lifetime_s * _RENEW_AFTER, _MAX_AGE_S)
    return _Token(text, asked_at + keep_s, asked_at + lifetime_s)


def _lifetime_s(expires_in: object) -> float:
    """Return the token's lifetime. It may be missing, and some servers write it as text."""
    if expires_in is None:
        return _DEFAULT_LIFETIME_S
    return max(0.0, float(str(expires_in)))


def _described(error: Exception) -> str:
    """Return what can be logged of an error. The text of others may quote the answer."""
    return str(error) if isinstance(error, TokenRefused) else type(error).__name__
