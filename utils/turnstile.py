"""Cloudflare's siteverify over HTTP.

https://developers.cloudflare.com/turnstile/get-started/server-side-validation/
"""

import asyncio
import ipaddress
import json
from collections.abc import Mapping

import httpx

from activities.errors import ChallengeUnavailable
from activities.ports import SiteverifyAnswer

_SERVER_ERROR = 500
_CLIENT_ERROR = 400
_OK = 200
_LARGEST_ANSWER = 64 * 1024


class SiteverifyClient:
    """Fulfils ``ChallengeVerifier``.

    Every call ends within ``timeout_s`` seconds. One pool of connections; ``close`` it at the end.
    """

    def __init__(self, url: str, secret: str, timeout_s: float = 5.0) -> None:
        self._url = url
        self._secret = secret
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(timeout=timeout_s, follow_redirects=False)
        self._client.headers["Accept-Encoding"] = "identity"  # what is not unpacked cannot burst

    async def siteverify(self, *, token: str, ip: str | None, idempotency_key: str) -> SiteverifyAnswer:
        """Ask about one token. Raises ``ChallengeUnavailable`` when there is no usable answer.

        An answer with a 4xx status counts if it has the documented shape and says no.
        """
        form = {"secret": self._secret, "response": token, "idempotency_key": idempotency_key}
        if ip is not None and is_ip(ip):
            form["remoteip"] = ip
        try:
            async with asyncio.timeout(self._timeout_s):  # httpx limits each phase, not the whole
                return await self._ask(form)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError):
            raise ChallengeUnavailable from None

    async def _ask(self, form: Mapping[str, str]) -> SiteverifyAnswer:
        async with self._client.stream("POST", self._url, data=form) as response:
            return _answer(response.status_code, await _body(response))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def is_ip(text: str) -> bool:
    """Tell whether ``text`` is an IPv4 or IPv6 address; one with a zone is not, since a zone may hold anything."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


async def _body(response: httpx.Response) -> bytes:
    """Read what is there, as it came. Raises ``ValueError`` once it is more than any answer takes."""
    body = bytearray()
    async for chunk in response.aiter_raw():
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
