"""The machine-readable contract agrees with what the worker accepts and writes."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # no stubs
from pydantic import ValidationError

from schemas.dead_letters import DeadLetterError
from deploy.local.places import PROJECT
from schemas.topics import REQUESTED_TOPIC, RESULTS_TOPIC, SUBMITTED_TOPIC
from schemas.contract import INBOUND, OUTBOUND, asyncapi, json_schemas
from utils.cli.schemas import files

GOLDEN = PROJECT / "tests" / "golden"
TOPICS = (REQUESTED_TOPIC, SUBMITTED_TOPIC, RESULTS_TOPIC)
SCHEMAS = json_schemas()
WRITTEN = PROJECT / "docs" / "schemas"


def valid(name: str, value: Any) -> bool:
    """Tell whether a value is valid by the published schema of an event."""
    return bool(Draft202012Validator(SCHEMAS[name]).is_valid(value))


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_valid(name: str) -> None:
    """It conforms to the meta-schema of its dialect."""
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("path", sorted((GOLDEN / "results").glob("*.json")), ids=lambda path: path.stem)
def test_golden_results_are_valid(path: Path) -> None:
    """Value and headers match the schema of the type; without a required member, the value does not."""
    golden = json.loads(path.read_text())
    kind = golden["event"]["result"]["type"]
    value = json.loads(golden["value"])
    messages = asyncapi(TOPICS)["components"]["messages"].values()
    message = next(each for each in messages if each["name"] == kind)

    assert valid(kind, value)
    assert Draft202012Validator(message["headers"]).is_valid(dict(golden["headers"]))
    for member in SCHEMAS[kind]["required"]:
        assert not valid(kind, {name: each for name, each in value.items() if name != member})


@pytest.mark.parametrize("path", sorted((GOLDEN / "dead_letters").glob("*.json")), ids=lambda path: path.stem)
def test_golden_dead_letters_have_the_documented_headers(path: Path) -> None:
    """They have all nine headers that every dead letter has, and no ``dlt-`` header that is not documented."""
    golden = json.loads(path.read_text())
    headers = {name: value for name, value in golden["headers"] if name.startswith("dlt-")}
    message = asyncapi(TOPICS)["components"]["messages"]["deadLetter"]

    assert Draft202012Validator(message["headers"]).is_valid(headers)
    assert set(message["headers"]["required"]) <= headers.keys() <= message["headers"]["properties"].keys()
    assert message["headers"]["properties"]["dlt-error"]["enum"] == list(get_args(DeadLetterError))


JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 30),
    st.integers(-5, 30).map(float),
    st.sampled_from([1.5, 1e300]),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=1),
)
IDS = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{14,66}", fullmatch=True), JSON)
TIMES = st.one_of(
    st.sampled_from(["2026-11-23T09:00:00Z", "2026-11-23t09:00:00.123456789+05:30", "2016-12-31T23:59:60Z"]),
    st.sampled_from(["2026-11-23T09:00:00", "2026-11-23", "1795424441", "yesterday", "2026-11-23T09:00Z"]),
    JSON,
)
TEXTS = st.one_of(st.text(max_size=70), st.sampled_from(["x" * 64, "x" * 65, "x" * 320, "x" * 321, "x" * 3000]), JSON)
CLIENTS = st.one_of(
    st.fixed_dictionaries({}, optional={"ip": TEXTS, "user_agent": TEXTS, "locale": TEXTS, "trusted_device": JSON}),
    JSON,
)
MEMBERS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "signin.requested": {
        "signin_id": IDS,
        "attempt": JSON,
        "email": TEXTS,
        "requested_at": TIMES,
        "turnstile_token": TEXTS,
        "client": CLIENTS,
        "unknown": JSON,
    },
    "otp.submitted": {
        "submission_id": IDS,
        "signin_id": IDS,
        "email": TEXTS,
        "code": TEXTS,
        "submitted_at": TIMES,
        "unknown": JSON,
    },
}
GOOD = {
    "signin.requested": {
        "signin_id": "rJ3hQ0m1TzC9vWcK8uYbXw",
        "email": "ada@example.com",
        "requested_at": "2026-11-23T09:00:00Z",
    },
    "otp.submitted": {
        "submission_id": "0a6e3d5e-6f0e-4c39-9a53-6a5f1c2f9d10",
        "signin_id": "rJ3hQ0m1TzC9vWcK8uYbXw",
        "email": "ada@example.com",
        "code": "1234 5678",
        "submitted_at": "2026-11-23T09:00:41Z",
    },
}


@pytest.mark.parametrize("name", INBOUND)
@given(data=st.data())
def test_the_worker_accepts_what_is_valid_and_nothing_else(name: str, data: st.DataObject) -> None:
    """Schema and model agree on any value of one or two members, and when they are missing.

    Values on which they differ are not drawn: a day that no calendar has is valid but rejected; a
    submission whose address is none is valid, but becomes a dead letter.
    """
    value: dict[str, Any] = dict(GOOD[name])
    for member in data.draw(st.sets(st.sampled_from(sorted(MEMBERS[name])), min_size=1, max_size=2)):
        value.pop(member, None)
        if data.draw(st.booleans()):
            value[member] = data.draw(MEMBERS[name][member])

    try:
        INBOUND[name].model_validate(value)
        accepted = True
    except ValidationError:
        accepted = False

    assert valid(name, value) == accepted


def test_the_published_files_are_up_to_date() -> None:
    """Run ``signin-worker schemas --out docs/schemas`` after a change of the models."""
    assert {path.name: path.read_text() for path in WRITTEN.iterdir()} == files(TOPICS)


def test_every_reference_in_the_document_resolves() -> None:
    """Every event is in a channel, and every channel in an operation."""
    document = asyncapi(TOPICS)
    for reference in _references(document):
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]

    used = {reference.rpartition("/")[2] for reference in _references(document["channels"])}

    assert used == document["components"]["messages"].keys()
    assert {each.rpartition("/")[2] for each in _references(document["operations"])} == document["channels"].keys()


def _references(document: Any) -> list[str]:
    if isinstance(document, dict):
        own = [document["$ref"]] if isinstance(document.get("$ref"), str) else []
        return own + [each for value in document.values() for each in _references(value)]
    return [each for value in document for each in _references(value)] if isinstance(document, list) else []


def test_both_directions_are_covered() -> None:
    """Two events are read, and seven are written."""
    assert (len(INBOUND), len(OUTBOUND)) == (2, 7)
