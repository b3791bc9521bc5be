"""What a delivery leads to, by its content and its age."""

import pytest

from consumers.intake import Delivery
from consumers.outcomes import Applied, Ignored, Late, Outcome, Rejected
from tests.fakes.deliveries import dispatch, receive, request, submission
from tests.fakes.gateway import FakeGateway
from tests.fakes.inbound import REQUESTED, record


async def test_requests_are_started_and_submissions_submitted() -> None:
    """A rejected record leads to no call at all."""
    gateway = FakeGateway()

    assert await dispatch(request(), gateway) == Applied()
    assert await dispatch(submission(), gateway) == Applied()
    assert isinstance(await dispatch(receive(record(REQUESTED, b"")), gateway), Rejected)
    assert (len(gateway.requests), len(gateway.submissions)) == (1, 1)


@pytest.mark.parametrize(
    ("delivery", "outcome"),
    [
        (request(300.1), Applied()),
        (request(3600), Applied()),
        (request(3600.1), Ignored()),
        (submission(600), Applied()),
        (submission(600.1), Late()),
        (submission(3600), Late()),
        (submission(3600.1), Ignored()),
    ],
)
async def test_the_age_of_an_event_decides_whether_it_is_applied(delivery: Delivery, outcome: Outcome) -> None:
    """Old requests are applied, since their workflow calls them stale.

    Beyond the horizon, nothing has a result.
    """
    gateway = FakeGateway()
    assert await dispatch(delivery, gateway) == outcome
    assert gateway.calls == (outcome == Applied())
