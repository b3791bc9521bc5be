"""Cloudflare's siteverify over HTTP.

https://developers.cloudflare.com/turnstile/get-started/server-side-validation/
"""

import asyncio
import ipaddress
import json
from collections.abc import Mapping

import aiohttp

from activities.errors import ChallengeUnavailable
from activities.ports import SiteverifyAnswer

_SERVER_ERROR = 500
_CLIENT_ERROR = 400
_OK = 200
_LARGEST_ANSWER = 64 * 1024


class SiteverifyClient:
    """Fulfils ``ChallengeVerifier``.

    Every call ends within ``timeout_s`` seconds. One pool of connections, made with the first call in the running loop;
    ``close`` it at the end.
    """

    def __init__(self, url: str, secret: str, timeout_s: float = 5.0) -> None:
        self._url = url
        self._secret = secret
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def siteverify(self, *, token: str, ip: str | None, idempotency_key: str) -> SiteverifyAnswer:
        """Ask about one token. Raises ``ChallengeUnavailable`` when there is no usable answer.

        An answer with a 4xx status counts if it has the documented shape and says no.
        """
        form = {"secret": self._secret, "response": token, "idempotency_key": idempotency_key}
        if ip is not None and is_ip(ip):
            form["remoteip"] = ip
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(form)
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError):
            raise ChallengeUnavailable from None

    async def _ask(self, form: Mapping[str, str]) -> SiteverifyAnswer:
        self._session = self._session or _session()
        async with self._session.post(self._url, data=form, allow_redirects=False) as response:
            return _answer(response.status, await _body(response))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def is_ip(text: str) -> bool:
    """Tell whether ``text`` is an IPv4 or IPv6 address; one with a zone is not, since a zone may hold anything."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _session() -> aiohttp.ClientSession:
    """Return a session that keeps nothing but connections. What is not unpacked cannot burst."""
    return aiohttp.ClientSession(
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=True,
    )


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Read what is there, as it came. Raises ``ValueError`` once it is more than any answer takes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LARGEST_ANSWER:
            raise ValueError("too long for an answer")
    return bytes(body)


def _answer(status: int, body: bytes) -> SiteverifyAnswer:
    """Read the answer. Raises ``ValueError`` if there is none in it."""
    if status != _OK and not _CLIENT_ERROR <= status < _SERVER_ERROR:
        raise ValueError("the status says nothing about the token")
    document = json.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("success"), bool):
        raise ValueError("not the documented shape")
    if document["success"] and status != _OK:
        raise ValueError("a status that says no beside a yes")
    return SiteverifyAnswer.model_validate(document)
