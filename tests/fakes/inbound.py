"""Inbound records, valid by default."""

import json
from datetime import UTC, datetime
from typing import Any

from consumers.ports import Headers, Record
from schemas.topics import REQUESTED_TOPIC, SUBMITTED_TOPIC

REQUESTED = REQUESTED_TOPIC
SUBMITTED = SUBMITTED_TOPIC


def signin_id(number: int) -> str:
    """Return a valid sign-in id."""
    return f"{number:022d}"


def request_data(number: int = 0, **members: Any) -> dict[str, Any]:
    """Return the data of a request made now."""
    good = {
        "signin_id": signin_id(number),
        "email": "ada@example.com",
        "requested_at": datetime.now(UTC).isoformat(),
        "turnstile_token": "0.abc",
    }
    return good | members


def submission_data(number: int = 0, **members: Any) -> dict[str, Any]:
    """Return the data of a submission made now."""
    good = {
        "submission_id": f"{number:016d}",
        "signin_id": signin_id(number),
        "email": "Ada@example.com",
        "code": "1234 5678",
        "submitted_at": datetime.now(UTC).isoformat(),
    }
    return good | members


def request_record(number: int = 0, partition: int = 0, headers: Headers = (), **members: Any) -> Record:
    """Return a request as a record at offset 0."""
    return record(REQUESTED, request_data(number, **members), partition, headers)


def submission_record(number: int = 0, partition: int = 0, headers: Headers = (), **members: Any) -> Record:
    """Return a submission as a record at offset 0."""
    return record(SUBMITTED, submission_data(number, **members), partition, headers)


def record(topic: str, data: Any, partition: int = 0, headers: Headers = ()) -> Record:
    """Return a record at offset 0 with ``data`` as its JSON value; bytes are used as they are."""
    value = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
    return Record(topic, partition, 0, b"key", value, headers)
