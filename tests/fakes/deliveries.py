"""Records that were received at one fixed moment."""

from datetime import UTC, datetime, timedelta

from activities.pseudonyms import Pseudonyms
from consumers.handling.dispatch import AgeLimits, Dispatcher
from consumers.intake import Delivery, Intake
from consumers.outcomes import Outcome
from consumers.ports import Record
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.gateway import FakeGateway
from tests.fakes.inbound import REQUESTED, SUBMITTED, request_record, submission_record

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def receive(record: Record, metrics: FakeConsumerMetrics | None = None) -> Delivery:
    """Receive a record at ``NOW``."""
    metrics = metrics or FakeConsumerMetrics()
    return Intake(REQUESTED, SUBMITTED, Pseudonyms(bytes(32)), metrics, lambda: NOW).receive(record)


def request(age_s: float = 0) -> Delivery:
    """Return a request that is ``age_s`` old at ``NOW``."""
    return receive(request_record(requested_at=(NOW - timedelta(seconds=age_s)).isoformat()))


def submission(age_s: float = 0) -> Delivery:
    """Return a submission that is ``age_s`` old at ``NOW``."""
    return receive(submission_record(submitted_at=(NOW - timedelta(seconds=age_s)).isoformat()))


async def dispatch(delivery: Delivery, gateway: FakeGateway) -> Outcome:
    """Dispatch at ``NOW``: events may be 300 s old, codes live 300 s, Temporal remembers 3,600 s."""
    return await Dispatcher(gateway, AgeLimits(300, 300, 3600), lambda: NOW)(delivery)
