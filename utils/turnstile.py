"""Cloudflare Turnstile's siteverify, over HTTP.

https://developers.cloudflare.com/turnstile/get-started/server-side-validation/
"""

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from typing import Final

import aiohttp

from activities.errors import ChallengeUnavailable
from activities.ports import SiteverifyAnswer
from utils.files import Secret, reveal
from utils.http_answers import new_session, read_body

_OK: Final = 200
_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500


class SiteverifyClient:
    """Implements ``ChallengeVerifier``.

    Every call ends within ``timeout_s`` seconds. The first call opens a pool of connections
    in the running event loop; ``close`` closes it.
    """

    def __init__(self, url: str, secret: Secret, timeout_s: float = 5.0) -> None:
        self._url = url
        self._secret = secret
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def siteverify(self, *, token: str, ip: str | None, idempotency_key: str) -> SiteverifyAnswer:
        """Verify one token. Raises ``ChallengeUnavailable`` when there is no usable answer.

        An answer with a 4xx status counts if it has the documented shape and says no.
        """
        form = {
            "secret": reveal(self._secret),
            "response": token,
            "idempotency_key": idempotency_key,
        }
        if ip is not None and is_ip(ip):
            form["remoteip"] = ip

        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(form)
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError):
            raise ChallengeUnavailable from None

    async def _post(self, form: Mapping[str, str]) -> SiteverifyAnswer:
        self._session = self._session or new_session()
        async with self._session.post(self._url, data=form, allow_redirects=False) as response:
            body = await read_body(response)

        return _parse(response.status, body)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def is_ip(text: str) -> bool:
    """Tell whether ``text`` is an IPv4 or IPv6 address.

    One with a zone is not: a zone may hold anything.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _parse(status: int, body: bytes) -> SiteverifyAnswer:
    """Parse the answer. Raises ``ValueError`` if there is none in it."""
    if status != _OK and not _CLIENT_ERROR <= status < _SERVER_ERROR:
        raise ValueError("the status says nothing about the token")

    document = json.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("success"), bool):
        raise ValueError("not the documented shape")
    if document["success"] and status != _OK:
        raise ValueError("success with an error status")

    return SiteverifyAnswer.model_validate(document)
