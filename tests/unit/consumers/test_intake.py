"""Records become deliveries, each in the lane that keeps its order."""

from dataclasses import replace
from datetime import timedelta

from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.deliveries import NOW, receive, request, submission
from tests.fakes.inbound import REQUESTED, record, request_record, submission_record


def test_lanes_follow_the_payload() -> None:
    """Requests share a lane per sign-in, submissions per mailbox whatever the tag.

    A rejected record has its own.
    """
    again = receive(replace(request_record(), offset=7))
    assert request().lane == again.lane != receive(request_record(1)).lane

    tagged = receive(submission_record(1, email="ADA+x@example.com"))
    assert submission().lane == tagged.lane != receive(submission_record(email="bob@example.com")).lane
    assert "ada" not in tagged.lane

    assert receive(record(REQUESTED, b"")).lane == "offset/0"


def test_an_event_from_the_future_is_counted() -> None:
    """It counts under its topic; an event of this very moment does not count."""
    metrics = FakeConsumerMetrics()
    receive(request_record(requested_at=(NOW + timedelta(seconds=1)).isoformat()), metrics)
    receive(request_record(requested_at=NOW.isoformat()), metrics)
    assert metrics.future == {REQUESTED: 1}
