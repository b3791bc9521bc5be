"""The contract for machines: a JSON Schema for each event, and one AsyncAPI document for the whole.

Made of the models that read and write the events, so that they cannot tell anything else. In a schema of an event that
is read, everything that the worker takes is valid; in one that is written, everything that it writes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel

from schemas.dead_letters import DeadLetterError, DltHeader
from schemas.inbound import OtpSubmitted, SignInRequested
from schemas.results import Result
from schemas.topics import dead_letter_topic

Schema = dict[str, Any]

INBOUND: Final[Mapping[str, type[BaseModel]]] = {"signin.requested": SignInRequested, "otp.submitted": OtpSubmitted}
OUTBOUND: Final[Mapping[str, type[BaseModel]]] = {
    kind.model_fields["type"].default: kind for kind in get_args(get_args(Result)[0])
}
VERSION: Final = "0.1.0"
"""Of the contract: its last part for words, the middle one for additions, the first for what breaks somebody."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "string", "pattern": "^-?[0-9]+$"}
_KEY: Final[Schema] = {"type": "string", "description": "The sign-in's id, UTF-8."}
_DEAD_LETTER_HEADERS: Final[Mapping[str, Schema]] = {
    DltHeader.TOPIC: _TEXT,
    DltHeader.PARTITION: _NUMBER,
    DltHeader.OFFSET: _NUMBER,
    DltHeader.TIMESTAMP: _NUMBER,
    DltHeader.GROUP: _TEXT,
    DltHeader.ERROR: {"type": "string", "enum": list(get_args(DeadLetterError))},
    DltHeader.REASON: _TEXT,
    DltHeader.FAILED_AT: {"type": "string", "format": "date-time"},
    DltHeader.ATTEMPTS: _NUMBER,
}


def json_schemas() -> Mapping[str, Schema]:
    """Return the schema of each event's value, by the event's type."""
    return {name: _schema_of(name) for name in (*INBOUND, *OUTBOUND)}


def asyncapi(topics: tuple[str, str, str]) -> Schema:
    """Return the AsyncAPI 3.0 document. ``topics``: of requests, of submissions, of results."""
    requested, submitted, results = topics
    channels = {
        "requests": _channel(requested, "signin.requested"),
        "submissions": _channel(submitted, "otp.submitted"),
        "results": _channel(results, *OUTBOUND),
        "deadRequests": _channel(dead_letter_topic(requested), "dead.letter"),
        "deadSubmissions": _channel(dead_letter_topic(submitted), "dead.letter"),
    }
    reads = {"readRequests": "requests", "readSubmissions": "submissions"}
    writes = {
        "writeResults": "results",
        "writeDeadRequests": "deadRequests",
        "writeDeadSubmissions": "deadSubmissions",
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "signin-worker",
            "version": VERSION,
            "description": "Passwordless sign-in by e-mailed one-time code. Operations are the worker's.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            **{name: _operation("receive", channel) for name, channel in reads.items()},
            **{name: _operation("send", channel) for name, channel in writes.items()},
        },
        "components": {"messages": {_name(kind): message for kind, message in _messages()}},
    }


def _schema_of(name: str) -> Schema:
    written = name in OUTBOUND
    model = OUTBOUND[name] if written else INBOUND[name]
    schema = model.model_json_schema(mode="serialization" if written else "validation")
    found = _plain(schema, schema.get("$defs", {}), written)
    if written:
        del found["properties"]["type"]  # it is the record's header ce_type
    return {"$schema": _DIALECT, "$id": f"urn:signin-worker:{name}", "title": name, **found}


def _plain(schema: Any, definitions: Mapping[str, Schema], written: bool) -> Any:
    """Put definitions where they are used, and leave out what pydantic adds: titles, and null where none is written."""
    if isinstance(schema, list):
        return [_plain(each, definitions, written) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].rpartition("/")[2]], definitions, written)
    if written and {"type": "null"} in schema.get("anyOf", []):
        return _plain(next(each for each in schema["anyOf"] if each != {"type": "null"}), definitions, written)
    left_out = ("$defs", "default")
    kept = {name: each for name, each in schema.items() if name not in left_out and not _is_title(name, each)}
    return {name: _plain(each, definitions, written) for name, each in kept.items()}


def _is_title(name: str, value: Any) -> bool:
    return name == "title" and isinstance(value, str)


def _channel(address: str, *kinds: str) -> Schema:
    messages = {_name(kind): {"$ref": f"#/components/messages/{_name(kind)}"} for kind in kinds}
    return {"address": address, "messages": messages}


def _operation(action: str, channel: str) -> Schema:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


def _messages() -> Iterator[tuple[str, Schema]]:
    for kind, payload in json_schemas().items():
        shown = {name: value for name, value in payload.items() if not name.startswith("$")}
        headers = _cloud_events(kind) if kind in OUTBOUND else _headers({"traceparent": _TEXT})
        yield kind, _message(kind, headers, shown)
    anything: Schema = {"description": "Key, value and headers are those of the record that could not be applied."}
    yield "dead.letter", _message("dead.letter", _headers(_DEAD_LETTER_HEADERS, needed=True), anything)


def _message(kind: str, headers: Schema, payload: Schema) -> Schema:
    return {"name": kind, "title": kind, "headers": headers, "payload": payload, "bindings": {"kafka": {"key": _KEY}}}


def _cloud_events(kind: str) -> Schema:
    """Return the headers of CloudEvents 1.0 in binary mode."""
    headers = _headers(
        {
            "ce_specversion": {"const": "1.0"},
            "ce_id": {"type": "string", "format": "uuid", "description": "The same whenever it is published again."},
            "ce_source": {"const": "/signin-worker"},
            "ce_type": {"const": kind},
            "ce_time": {"type": "string", "format": "date-time"},
            "ce_subject": {"type": "string", "description": "The sign-in's id."},
            "content-type": {"const": "application/json"},
        },
        needed=True,
    )
    headers["properties"]["traceparent"] = _TEXT
    return headers


def _headers(properties: Mapping[str, Schema], *, needed: bool = False) -> Schema:
    required = {"required": list(properties)} if needed else {}
    return {"type": "object", "properties": dict(properties), **required}


def _name(kind: str) -> str:
    first, *rest = kind.replace("_", ".").split(".")
    return first + "".join(part.capitalize() for part in rest)
