"""The page's events are what the worker reads, its settings are the worker's, and its languages are complete."""

import ast
import json
from datetime import UTC, datetime
from typing import Final

import jsonschema  # type: ignore[import-untyped]  # has no types
import pytest

from consumers.decode import decode_request, decode_submission
from consumers.outcomes import Rejected
from consumers.ports import Record
from deploy.local.places import PROJECT
from schemas.policy import OtpPolicy
from web_login import events
from web_login.events import Event
from web_login.languages import LANGUAGES
from web_login.settings import Settings

CLIENT: Final = {"ip": "203.0.113.7", "user_agent": "Firefox", "locale": "de", "trusted_device": False}
REQUESTED: Final = events.requested("s" * 22, 2, "ada@ok.example", "0.token", CLIENT)
SUBMITTED: Final = events.submitted("s" * 22, "b" * 32, "ada@ok.example", "1234 5678")


def record(event: Event) -> Record:
    """Return an event as the worker's consumer reads it."""
    return Record(
        topic=event.type,
        partition=0,
        offset=0,
        key=event.key,
        value=event.body,
        headers=tuple(event.headers),
    )


def test_the_worker_reads_the_events() -> None:
    """The worker's own decoder accepts both, with every member."""
    now = datetime.now(UTC)
    requested = decode_request(record(REQUESTED), now)
    submitted = decode_submission(record(SUBMITTED), now)

    assert not isinstance(requested, Rejected) and not isinstance(submitted, Rejected)
    assert requested.event.model_dump(mode="json", exclude_unset=True).keys() == REQUESTED.value.keys()
    assert submitted.event.model_dump(mode="json", exclude_unset=True).keys() == SUBMITTED.value.keys()


@pytest.mark.parametrize("event", [REQUESTED, SUBMITTED])
def test_the_events_are_valid(event: Event) -> None:
    """The published schema accepts the value, and the headers are CloudEvents in binary mode."""
    schema = json.loads((PROJECT / "docs" / "schemas" / f"{event.type}.schema.json").read_text())
    headers = {name: value.decode() for name, value in event.headers}

    jsonschema.validate(json.loads(event.body), schema)
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_source": "/web-login",
        "ce_type": event.type,
        "ce_time": event.at,
        "content-type": "application/json",
    }
    assert event.key == b"s" * 22


def test_the_same_event_has_the_same_id() -> None:
    """Emitted again after an error, an event is a duplicate."""
    again = events.requested("s" * 22, 2, "ada@ok.example", "0.token", CLIENT)

    assert again.id == REQUESTED.id
    assert SUBMITTED.id == SUBMITTED.value["submission_id"]


def test_the_settings_are_the_workers() -> None:
    """The page counts time and codes as the worker does by default."""
    settings = Settings()
    policy = OtpPolicy()

    assert (settings.lifetime_s, settings.max_codes) == (policy.lifetime_s, policy.max_attempts)


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_every_language_has_every_text(code: str) -> None:
    """No text is missing, none is left over, and none is English elsewhere."""
    english = LANGUAGES["en"].text
    texts = LANGUAGES[code].text

    assert texts.keys() == english.keys()
    if code != "en":
        assert {name for name in texts if texts[name] == english[name]} <= {"code", "seconds"}


def test_the_example_shares_no_code_with_the_worker() -> None:
    """What is copied from the example works elsewhere."""
    files = [*(PROJECT / "examples" / "web-login" / "web_login").glob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    rooms = {name.split(".")[0] for name in imported if name is not None} & {file.stem for file in PROJECT.iterdir()}

    assert len(files) > 5
    assert rooms == set()
