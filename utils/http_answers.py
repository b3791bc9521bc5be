"""Sessions of aiohttp for servers that may answer anything."""

from typing import Final

import aiohttp

_MAX_ANSWER_BYTES: Final = 64 * 1024


def new_session() -> aiohttp.ClientSession:
    """Return a session without cookies or decompression: a body that is not unpacked cannot be a zip bomb.

    It has no timeout of its own.
    """
    return aiohttp.ClientSession(
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=True,
    )


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """Read the whole raw body. Raises ``ValueError`` once it is larger than 64 KiB."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise ValueError("too long for an answer")

    return bytes(body)
