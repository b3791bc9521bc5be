"""Measures how many records per second one core decodes, validates and dispatches, without the calls (P9)."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from typing import Final

from activities.pseudonyms import Pseudonyms
from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.handling.dispatch import AgeLimits, Dispatcher
from consumers.intake import Intake
from consumers.outcomes import Applied, Outcome
from consumers.ports import Record
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.fakes.inbound import REQUESTED, SUBMITTED, request_record, submission_record

_RECORDS: Final = 4_000
_CLIENT: Final = {"ip": "203.0.113.7", "user_agent": "Mozilla/5.0 Firefox/140.0", "locale": "en-GB"}


class NoOpGateway:
    """A gateway that makes no calls."""

    async def start(self, _request: ReceivedRequest) -> Outcome:
        """Report success."""
        return Applied()

    async def submit(self, _submission: ReceivedSubmission) -> Outcome:
        """Report success."""
        return Applied()


async def records_per_s(rounds: int) -> list[float]:
    """Return the rate of each round by this process's CPU time. Half of the records are requests, half submissions."""
    records = list(itertools.chain.from_iterable(_pair(number) for number in range(_RECORDS // 2)))
    await _handle(records)  # warms up
    return [await _rate(records) for _ in range(rounds)]


def _pair(number: int) -> tuple[Record, Record]:
    email = f"ada{number}@example.com"
    return request_record(number, email=email, client=_CLIENT), submission_record(number, email=email)


async def _rate(records: Sequence[Record]) -> float:
    begun = time.process_time()
    await _handle(records)
    return len(records) / (time.process_time() - begun)


async def _handle(records: Sequence[Record]) -> None:
    intake = Intake(REQUESTED, SUBMITTED, Pseudonyms(bytes(32)), FakeConsumerMetrics())
    dispatch = Dispatcher(NoOpGateway(), AgeLimits())
    for record in records:
        await dispatch(intake.receive(record))


if __name__ == "__main__":
    print([round(rate) for rate in asyncio.run(records_per_s(5))])
