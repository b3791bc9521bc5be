"""Events as the upstream system emits them."""

import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from deploy.local.servers.siteverify import passing_token

BROWSER: Final = MappingProxyType({"ip": "203.0.113.7", "user_agent": "Mozilla/5.0 Firefox/140.0", "locale": "en-GB"})


def new_signin_id() -> str:
    """Return a random id of 128 bit, as the contract requires."""
    return secrets.token_urlsafe(16)


def request_event(
    signin_id: str,
    address: str,
    *,
    attempt: int = 1,
    token: str | None = None,
    client: Mapping[str, Any] = BROWSER,
) -> dict[str, Any]:
    """Return a ``signin.requested``, by default with a token that passes."""
    return {
        "signin_id": signin_id,
        "attempt": attempt,
        "email": address,
        "requested_at": timestamp(),
        "turnstile_token": passing_token(signin_id) if token is None else token,
        "client": dict(client),
    }


def submission_event(signin_id: str, address: str, code: str, *, submission_id: str = "") -> dict[str, Any]:
    """Return an ``otp.submitted``, by default with a new submission id."""
    return {
        "submission_id": submission_id or str(uuid.uuid4()),
        "signin_id": signin_id,
        "email": address,
        "code": code,
        "submitted_at": timestamp(),
    }


def timestamp() -> str:
    """Return the present time as events hold it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
