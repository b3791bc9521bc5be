"""The machine-readable contract: a JSON Schema per event, and one AsyncAPI document.

Both are generated from the models that read and write the events, so they cannot disagree with
them. The schema of an inbound event accepts what the worker accepts; that of a result accepts
what the worker writes.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel

from schemas.dead_letters import DeadLetterError, DltHeader
from schemas.inbound import OtpSubmitted, SignInRequested
from schemas.results import Result
from schemas.topics import dead_letter_topic

Schema = dict[str, Any]

INBOUND: Final[Mapping[str, type[BaseModel]]] = {
    "signin.requested": SignInRequested,
    "otp.submitted": OtpSubmitted,
}
OUTBOUND: Final[Mapping[str, type[BaseModel]]] = {
    kind.model_fields["type"].default: kind for kind in get_args(get_args(Result)[0])
}
VERSION: Final = "1.0.0"
"""Version of the contract: major for breaking changes, minor for additions, patch for wording."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_DROPPED: Final = ("$defs", "default")
_NULL: Final[Schema] = {"type": "null"}
_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "string", "pattern": "^-?[0-9]+$"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_KEY: Final[Schema] = {"type": "string", "description": "The sign-in's id in UTF-8."}
_DEAD_LETTER_HEADERS: Final[Mapping[str, Schema]] = {
    DltHeader.TOPIC: _TEXT,
    DltHeader.PARTITION: _NUMBER,
    DltHeader.OFFSET: _NUMBER,
    DltHeader.TIMESTAMP: _NUMBER,
    DltHeader.GROUP: _TEXT,
    DltHeader.ERROR: {"type": "string", "enum": list(get_args(DeadLetterError))},
    DltHeader.REASON: _TEXT,
    DltHeader.FAILED_AT: _TIME,
    DltHeader.ATTEMPTS: _NUMBER,
}
_OPTIONAL_DEAD_LETTER_HEADERS: Final[Mapping[str, Schema]] = {
    DltHeader.LAST_OFFSET: _NUMBER | {"description": "Of a batch that can't be decoded: dlt-error is unreadable."},
    DltHeader.VALUE_SIZE: _NUMBER | {"description": "In bytes: the value is too large to be kept."},
    DltHeader.VALUE_SHA256: _TEXT | {"description": "Of the value that is too large to be kept, in hexadecimal."},
}


def json_schemas() -> Mapping[str, Schema]:
    """Return the schema of each event's value, by the event's type."""
    return {name: _schema_of(name) for name in (*INBOUND, *OUTBOUND)}


def asyncapi(topics: tuple[str, str, str]) -> Schema:
    """Return the AsyncAPI 3.0 document. ``topics``: of requests, submissions and results."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "signin-worker",
            "version": VERSION,
            "description": "Passwordless sign-in by e-mailed one-time code. Operations are the worker's.",
        },
        "defaultContentType": "application/json",
        "channels": _channels(topics),
        "operations": _operations(),
        "components": {"messages": {_name(kind): message for kind, message in _messages()}},
    }


def _channels(topics: tuple[str, str, str]) -> Schema:
    requested, submitted, results = topics

    return {
        "requests": _channel(requested, "signin.requested"),
        "submissions": _channel(submitted, "otp.submitted"),
        "results": _channel(results, *OUTBOUND),
        "deadRequests": _channel(dead_letter_topic(requested), "dead.letter"),
        "deadSubmissions": _channel(dead_letter_topic(submitted), "dead.letter"),
    }


def _operations() -> Schema:
    return {
        "readRequests": _operation("receive", "requests"),
        "readSubmissions": _operation("receive", "submissions"),
        "writeResults": _operation("send", "results"),
        "writeDeadRequests": _operation("send", "deadRequests"),
        "writeDeadSubmissions": _operation("send", "deadSubmissions"),
    }


def _schema_of(name: str) -> Schema:
    is_written = name in OUTBOUND
    model = OUTBOUND[name] if is_written else INBOUND[name]
    schema = model.model_json_schema(mode="serialization" if is_written else "validation")

    plain = _plain(schema, schema.get("$defs", {}), is_written)
    if is_written:
        del plain["properties"]["type"]  # it is the record's header ce_type

    return {"$schema": _DIALECT, "$id": f"urn:signin-worker:{name}", "title": name, **plain}


def _plain(schema: Any, definitions: Mapping[str, Schema], is_written: bool) -> Any:
    """Inline definitions, and drop what pydantic adds: titles, defaults, unwritten nulls."""
    if isinstance(schema, list):
        return [_plain(each, definitions, is_written) for each in schema]
    if not isinstance(schema, dict):
        return schema

    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _plain(definitions[name], definitions, is_written)
    if is_written and _NULL in schema.get("anyOf", []):
        other = next(each for each in schema["anyOf"] if each != _NULL)
        return _plain(other, definitions, is_written)

    return {
        name: _plain(each, definitions, is_written)
        for name, each in schema.items()
        if name not in _DROPPED and not _is_title(name, each)
    }


def _is_title(name: str, value: Any) -> bool:
    return name == "title" and isinstance(value, str)


def _channel(address: str, *kinds: str) -> Schema:
    messages = {_name(kind): {"$ref": f"#/components/messages/{_name(kind)}"} for kind in kinds}
    return {"address": address, "messages": messages}


def _operation(action: str, channel: str) -> Schema:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


def _messages() -> Iterator[tuple[str, Schema]]:
    for kind, schema in json_schemas().items():
        payload = {name: value for name, value in schema.items() if not name.startswith("$")}
        headers = _cloud_events(kind) if kind in OUTBOUND else _headers({}, {"traceparent": _TEXT})
        yield kind, _message(kind, headers, payload)

    original: Schema = {
        "description": "Key, value and headers of the record that could not be applied, unchanged.",
    }
    yield (
        "dead.letter",
        _message("dead.letter", _headers(_DEAD_LETTER_HEADERS, _OPTIONAL_DEAD_LETTER_HEADERS), original),
    )


def _message(kind: str, headers: Schema, payload: Schema) -> Schema:
    return {
        "name": kind,
        "title": kind,
        "headers": headers,
        "payload": payload,
        "bindings": {"kafka": {"key": _KEY}},
    }


def _cloud_events(kind: str) -> Schema:
    """Return the headers of CloudEvents 1.0 in binary mode."""
    return _headers(
        {
            "ce_specversion": {"const": "1.0"},
            "ce_id": {
                "type": "string",
                "format": "uuid",
                "description": "The same for a repeated publication.",
            },
            "ce_source": {"const": "/signin-worker"},
            "ce_type": {"const": kind},
            "ce_time": _TIME,
            "ce_subject": {"type": "string", "description": "The sign-in's id."},
            "content-type": {"const": "application/json"},
        },
        {"traceparent": _TEXT},
    )


def _headers(required: Mapping[str, Schema], optional: Mapping[str, Schema]) -> Schema:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": {**required, **optional}, **needed}


def _name(kind: str) -> str:
    first, *rest = kind.replace("_", ".").split(".")
    return first + "".join(part.capitalize() for part in rest)
