"""An OAuth 2.0 token endpoint for tests: client credentials in, signed access tokens out."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, unquote_plus

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.local.places import LOOPBACK
from utils.endpoints import serving

KEY_ID = "k1"


class TokenEndpoint:
    """Issues tokens to clients with its ``secret``.

    ``answer`` replaces its answers, and ``is_slow`` sends them a byte at a time. All attributes may change while it
    runs.
    """

    def __init__(self, secret: str, lifetime_s: float = 3_600) -> None:
        self.secret = secret
        self.lifetime_s = lifetime_s
        self.is_down = False
        self.is_slow = False
        self.answer: str | None = None
        self.url = ""
        self.forms: list[dict[str, str]] = []
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

    def key_set(self) -> str:
        """Return the public key as a JWK set, by which brokers verify the tokens."""
        numbers = self._key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": KEY_ID,
            "n": _number(numbers.n),
            "e": _number(numbers.e),
        }
        return json.dumps({"keys": [key]})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve the endpoint at ``url``."""
        app = Starlette(routes=[Route("/token", self._answer, methods=["POST"])])
        async with serving(app, LOOPBACK, 0) as port:
            self.url = f"http://{LOOPBACK}:{port}/token"
            yield

    async def _answer(self, request: Request) -> Response:
        whole = await self._whole_answer(request)
        return StreamingResponse(_in_pieces(bytes(whole.body)), whole.status_code) if self.is_slow else whole

    async def _whole_answer(self, request: Request) -> Response:
        self.forms.append(dict(parse_qsl((await request.body()).decode())))

        if self.is_down:
            return Response("down", status_code=503)

        if self.answer is not None:
            return Response(self.answer)

        login = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        client, _, secret = map(unquote_plus, login.partition(":"))
        if secret != self.secret:
            return JSONResponse({"error": "invalid_client"}, status_code=401)

        return JSONResponse(
            {"access_token": self._token(client), "token_type": "Bearer", "expires_in": self.lifetime_s}
        )

    def _token(self, subject: str) -> str:
        now = time.time()
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        claims = {"sub": subject, "iat": now, "exp": now + self.lifetime_s, "aud": "kafka", "scope": "kafka"}
        signed = f"{_encode(header)}.{_encode(claims)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())

        return f"{signed}.{_base64(signature)}"


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for byte in body:
        yield bytes([byte])
        await asyncio.sleep(0)


def _encode(part: object) -> str:
    return _base64(json.dumps(part).encode())


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
