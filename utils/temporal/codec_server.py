"""Temporal's remote codec over HTTP: its web UI and command line show what is encrypted, to those with the token.

It only decodes: who could have payloads encoded here could make inputs that workflows take for their own. What it
returns holds addresses, so it belongs on a private network, behind TLS, and every call is in the audit trail.
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

LARGEST_BODY: Final = 8 * 1024 * 1024
"""Bytes of a request: twice what Temporal takes in one message, for base64."""

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_HEADERS: Final = ("authorization", "content-type", "x-namespace")
_PREFLIGHT_S: Final = 600


def codec_app(codec: PayloadCodec, token: str, origins: Sequence[str] = ()) -> Starlette:
    """Build the server. ``origins``: the web UIs whose pages may read its answers."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["POST"],
        allow_headers=list(_HEADERS),
        allow_credentials=True,
        max_age=_PREFLIGHT_S,
    )
    return Starlette(routes=[Route("/decode", _decoding(codec, token), methods=["POST"])], middleware=[cors])


def _decoding(codec: PayloadCodec, token: str) -> Callable[[Request], Awaitable[Response]]:
    wanted = f"Bearer {token}".encode()

    async def decoding(request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), wanted):
            logger.warning("authz_fail", extra={"audit_event": "authz_fail:codec", **_who(request)})
            return _refused(401, "say who you are: Authorization: Bearer and the token", {"www-authenticate": "Bearer"})
        body = await _body(request)
        if body is None:
            return _refused(413, f"more than {LARGEST_BODY} bytes")
        try:
            given = json_format.Parse(body, Payloads())
        except (json_format.ParseError, UnicodeDecodeError):
            return _refused(400, 'not of the form {"payloads": [...]}')
        opened = [await _opened(codec, payload) for payload in given.payloads]
        closed = sum(one is None for one in opened)
        counts = {"payloads": len(opened), "not_opened": closed}
        logger.info("sensitive_read", extra={"audit_event": "sensitive_read:payloads", **counts, **_who(request)})
        shown = (one or payload for one, payload in zip(opened, given.payloads, strict=True))
        return Response(json_format.MessageToJson(Payloads(payloads=shown)), media_type="application/json")

    return decoding


async def _opened(codec: PayloadCodec, payload: Payload) -> Payload | None:
    """Return a payload in clear; None if it does not open: one of a key long gone must not hide all others."""
    try:
        (opened,) = await codec.decode([payload])
    except (UnknownKey, CorruptPayload):
        return None
    return opened


async def _body(request: Request) -> bytes | None:
    """Return the body; None as soon as it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _who(request: Request) -> dict[str, str | None]:
    namespace = request.headers.get("x-namespace", "")
    peer = request.client.host if request.client else None
    return {"peer": peer, "namespace": namespace if _NAMESPACE.fullmatch(namespace) else None}


def _refused(status: int, why: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": why}, status_code=status, headers=headers)
