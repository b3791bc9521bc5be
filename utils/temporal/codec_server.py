"""Temporal's remote codec over HTTP: its web UI and command line show decrypted payloads to callers with the token.

It only decodes. If it also encoded, a caller could create inputs that workflows take for their own. What it returns
contains addresses, so it belongs on a private network, behind TLS, and every call is in the audit trail.
Protocol: https://docs.temporal.io/production-deployment/data-encryption#codec-server-setup
"""

import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

from activities.errors import UnknownKey
from utils.temporal.payload_codec import CorruptPayload

logger = logging.getLogger("audit")

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""Twice what Temporal accepts in one message, to leave room for base64."""

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_HEADERS: Final = ("authorization", "content-type", "x-namespace")
_PREFLIGHT_MAX_AGE_S: Final = 600


def codec_app(codec: PayloadCodec, token: str, origins: Sequence[str] = ()) -> Starlette:
    """Build the server. Pages of ``origins``, the web UIs, may read its answers."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["POST"],
        allow_headers=list(_HEADERS),
        allow_credentials=True,
        max_age=_PREFLIGHT_MAX_AGE_S,
    )
    decode = Route("/decode", _decode_endpoint(codec, token), methods=["POST"])

    return Starlette(routes=[decode], middleware=[cors])


def _decode_endpoint(codec: PayloadCodec, token: str) -> Callable[[Request], Awaitable[Response]]:
    expected = f"Bearer {token}".encode()

    async def decode(request: Request) -> Response:
        authorization = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(authorization, expected):
            return _unauthorized(request)

        body = await _body(request)
        if body is None:
            return _error(413, f"more than {MAX_BODY_BYTES} bytes")

        try:
            payloads = json_format.Parse(body, Payloads()).payloads
        except (json_format.ParseError, UnicodeDecodeError):
            return _error(400, 'not of the form {"payloads": [...]}')

        decrypted = [await _decrypt(codec, payload) for payload in payloads]
        _log_read(request, decrypted)

        shown = [clear or payload for clear, payload in zip(decrypted, payloads, strict=True)]
        return Response(json_format.MessageToJson(Payloads(payloads=shown)), media_type="application/json")

    return decode


def _unauthorized(request: Request) -> Response:
    logger.warning("authz_fail", extra={"audit_event": "authz_fail:codec", **_caller(request)})
    headers = {"www-authenticate": "Bearer"}

    return _error(401, "the header Authorization must be Bearer and the token", headers)


def _log_read(request: Request, decrypted: Sequence[Payload | None]) -> None:
    counts = {"payloads": len(decrypted), "not_opened": decrypted.count(None)}
    logger.info(
        "sensitive_read",
        extra={"audit_event": "sensitive_read:payloads", **counts, **_caller(request)},
    )


async def _decrypt(codec: PayloadCodec, payload: Payload) -> Payload | None:
    """Return a payload decrypted, or None. One whose key is long gone must not hide all others."""
    try:
        (decrypted,) = await codec.decode([payload])
    except (UnknownKey, CorruptPayload):
        return None

    return decrypted


async def _body(request: Request) -> bytes | None:
    """Return the body; None as soon as it is too large."""
    body = bytearray()

    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None

    return bytes(body)


def _caller(request: Request) -> dict[str, str | None]:
    namespace = request.headers.get("x-namespace", "")
    peer = request.client.host if request.client else None

    return {"peer": peer, "namespace": namespace if _NAMESPACE.fullmatch(namespace) else None}


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": reason}, status_code=status, headers=headers)
