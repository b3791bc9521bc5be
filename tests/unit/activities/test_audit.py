"""The audit trail: what is logged about each decision, and what never is."""

import logging
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from activities.addresses import masked
from activities.audit import audit_entry
from activities.errors import PublishUnavailable
from activities.publishing import PublishingActivities
from deploy.local.places import PROJECT
from schemas.tasks import Publication
from schemas.results import Result, ResultEvent
from tests.docs.documents import code, rows
from tests.fakes.activity_calls import called, failing
from tests.fakes.publisher import FakePublisher

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
MEMBERS = {
    "signin_id": "s" * 22,
    "account": "pseudonym",
    "occurred_at": NOW,
    "attempt": 2,
    "submission_id": "x" * 16,
    "expires_at": NOW,
    "resend_after": NOW,
}


def every_result() -> list[Any]:
    """Return one result of each type and reason."""
    return [result for kind in get_args(get_args(Result)[0]) for result in _results_of(kind)]


def _results_of(kind: type[BaseModel]) -> list[BaseModel]:
    members = {name: value for name, value in MEMBERS.items() if name in kind.model_fields}
    field = kind.model_fields.get("reason")
    if field is None:
        return [kind(**members)]

    return [kind(**members, reason=reason) for reason in get_args(field.annotation)]


async def _audit_line(caplog: pytest.LogCaptureFixture, event: ResultEvent) -> logging.LogRecord:
    """Publish a result, and return the only line of the audit trail."""
    caplog.clear()
    publish = PublishingActivities(FakePublisher()).publish_result_activity
    with caplog.at_level(logging.INFO, logger="audit"):
        await called().run(publish, Publication(events=(event,)))

    [line] = [record for record in caplog.records if record.name == "audit"]
    return line


@pytest.mark.parametrize("result", every_result(), ids=lambda one: f"{one.type} {getattr(one, 'reason', '')}")
async def test_each_decision_has_one_line(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The line has the name from the vocabulary, the account's pseudonym and the result's id."""
    event = ResultEvent(result=result, masked="a***@e***.com", traceparent="00-secret")
    line = await _audit_line(caplog, event)
    fields = vars(line)
    name, level = audit_entry(result.type, getattr(result, "reason", None))

    assert (line.getMessage(), line.levelno, fields["audit_event"]) == (name, level, f"{name}:pseudonym")
    assert (fields["event_id"], fields["signin_id"]) == (event.event_id, "s" * 22)
    assert (fields["masked_address"], fields["decided_at"]) == ("a***@e***.com", NOW.isoformat())
    assert fields.get("reason") == getattr(result, "reason", None)


def test_the_document_lists_every_decision() -> None:
    """The table in docs/audit.md has a row for each result and reason, and no other."""
    table = rows((PROJECT / "docs/audit.md").read_text())
    named = {(*code(kind), *code(reason)): (*code(event), level) for kind, reason, event, level in table}

    for result in every_result():
        reason = getattr(result, "reason", None)
        event, level = audit_entry(result.type, reason)
        key = (result.type,) if reason is None else (result.type, reason)

        assert named.pop(key) == (event, logging.getLevelName(level).lower())

    assert not named


async def test_a_result_that_kafka_did_not_acknowledge_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The trail has only what downstream can know, and a failed try is not a decision."""
    publisher = FakePublisher()
    publisher.down = PublishUnavailable
    publication = Publication(events=(ResultEvent(result=every_result()[0]),))

    with caplog.at_level(logging.INFO, logger="audit"):
        await failing(PublishingActivities(publisher).publish_result_activity, publication)

    assert not [record for record in caplog.records if record.name == "audit"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ada@example.com", "a***@e***.com"),
        (" Ada.Lovelace+x@mail.example.CO ", "A***@m***.co"),
        ('"a@b"@example.com', '"***@e***.com'),
        ("a@b", "***"),
        ("@example.com", "***"),
        ("ada@", "***"),
        ("ada@.com", "***"),
        ("ada@[203.0.113.7]", "***"),
        ("ada@example.xn--p1ai", "***"),
        ("no address at all", "***"),
        ("", "***"),
    ],
)
def test_a_masked_address_shows_two_characters_and_the_last_label(address: str, shown: str) -> None:
    """Nothing is shown of text that is not an address."""
    assert masked(address) == shown
