"""The two events that the page emits, as CloudEvents in binary mode."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

_SOURCE: Final = "/web-login"


@dataclass(frozen=True)
class Event:
    """A record for Kafka. Its key is the sign-in's id, so that the broker keeps a sign-in's events in order."""

    type: Literal["signin.requested", "otp.submitted"]
    id: str
    value: Mapping[str, Any]
    at: str

    @property
    def key(self) -> bytes:
        """The key of the record."""
        return str(self.value["signin_id"]).encode()

    @property
    def body(self) -> bytes:
        """The value of the record."""
        return json.dumps(self.value).encode()

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """The headers of the record."""
        attributes = {"specversion": "1.0", "id": self.id, "source": _SOURCE, "type": self.type, "time": self.at}
        headers = {f"ce_{name}": value for name, value in attributes.items()} | {"content-type": "application/json"}

        return [(name, value.encode()) for name, value in headers.items()]


def requested(signin_id: str, attempt: int, email: str, token: str, client: Mapping[str, Any]) -> Event:
    """Return a ``signin.requested``. The same id and attempt again is the same event."""
    at = _now()
    value = {
        "signin_id": signin_id,
        "attempt": attempt,
        "email": email,
        "requested_at": at,
        "turnstile_token": token,
        "client": dict(client),
    }
    return Event("signin.requested", f"{signin_id}.{attempt}", value, at)


def submitted(signin_id: str, submission_id: str, email: str, code: str) -> Event:
    """Return an ``otp.submitted``. The same submission id again is the same event."""
    at = _now()
    value = {
        "submission_id": submission_id,
        "signin_id": signin_id,
        "email": email,
        "code": code,
        "submitted_at": at,
    }
    return Event("otp.submitted", submission_id, value, at)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
