"""The audit trail: what is told of each decision, and what never is."""

import logging
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

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

RESULT: TypeAdapter[Any] = TypeAdapter(Result)
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
    found = []
    for kind in get_args(get_args(Result)[0]):
        reasons = kind.model_fields.get("reason")
        members = {name: value for name, value in MEMBERS.items() if name in kind.model_fields}
        found += [kind(**members, **more) for more in ([{"reason": one} for one in _values(reasons)] or [{}])]
    return found


def _values(field: Any) -> tuple[str, ...]:
    return () if field is None else get_args(field.annotation)


async def told(caplog: pytest.LogCaptureFixture, event: ResultEvent) -> logging.LogRecord:
    """Publish a result; return the one line of the audit trail."""
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="audit"):
        await called().run(PublishingActivities(FakePublisher()).publish_result_activity, Publication(events=(event,)))
    [line] = [record for record in caplog.records if record.name == "audit"]
    return line


@pytest.mark.parametrize("result", every_result(), ids=lambda one: f"{one.type} {getattr(one, 'reason', '')}")
async def test_each_decision_has_its_line(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    """By its name in the vocabulary, about an account that is told by its pseudonym, under the result's own id."""
    event = ResultEvent(result=result, masked="a***@e***.com", traceparent="00-secret")
    line = await told(caplog, event)
    fields = vars(line)
    name, level = audit_entry(result.type, getattr(result, "reason", None))

    assert (line.getMessage(), line.levelno, fields["audit_event"]) == (name, level, f"{name}:pseudonym")
    assert (fields["event_id"], fields["signin_id"]) == (event.event_id, "s" * 22)
    assert (fields["masked_address"], fields["decided_at"]) == ("a***@e***.com", NOW.isoformat())
    assert fields.get("reason") == getattr(result, "reason", None)


def test_the_document_tells_all_of_them() -> None:
    """Row by row what the code does."""
    table = [
        (code(row[0]), code(row[1]), code(row[2]), row[3]) for row in rows((PROJECT / "docs/audit.md").read_text())
    ]
    named = {(*kind, *reason): (*event, level) for kind, reason, event, level in table}
    for result in every_result():
        reason = getattr(result, "reason", None)
        event, level = audit_entry(result.type, reason)
        key = (result.type,) if reason is None else (result.type, reason)

        assert named.pop(key) == (event, logging.getLevelName(level).lower())

    assert not named


async def test_what_kafka_did_not_take_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """The trail tells what downstream can know, and a try that failed is no decision."""
    publisher = FakePublisher()
    publisher.down = PublishUnavailable
    with caplog.at_level(logging.INFO, logger="audit"):
        publication = Publication(events=(ResultEvent(result=every_result()[0]),))
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
def test_little_is_shown_of_an_address(address: str, shown: str) -> None:
    """Two characters and the last label; of anything else nothing."""
    assert masked(address) == shown
