"""Consumers: the real decoding and the real gateway, on clocks that differ by seconds."""

import hashlib
import json
import random
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from consumers.gateway.temporal import TemporalGateway
from consumers.handling.dispatch import AgeLimits, Dispatcher
from consumers.intake import Delivery, Intake
from consumers.outcomes import NotNow, Outcome
from consumers.ports import Record
from schemas.policy import Policy
from tests.fakes.consumer_metrics import FakeConsumerMetrics
from tests.simulation.story import Story
from tests.simulation.workflows.agenda import Agenda
from tests.fakes.workflow_instances import run_now
from tests.simulation.workflows.simulated_client import SimulatedClient
from tests.simulation.workflows.workers import KEYS, PSEUDONYMS

REQUESTED: Final = "signin.requested"
SUBMITTED: Final = "otp.submitted"

OnRead = Callable[[Record], object]
OnOutcome = Callable[[Record, Outcome], object]


def trace_of(name: str) -> bytes:
    """Return the traceparent of an event."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01".encode()


def attempt_name(event: Mapping[str, Any]) -> str:
    """Return a name of an attempt."""
    return f"{event['signin_id']}/{event['attempt']}"


class Consumer:
    """One consumer process, on a clock of its own."""

    def __init__(self, agenda: Agenda, client: SimulatedClient, policy: Policy, skew_s: float) -> None:
        def now() -> datetime:
            return agenda.datetime(skew_s)

        limits = AgeLimits(policy.times.max_event_age_s, policy.otp.lifetime_s)
        gateway = TemporalGateway(client.as_client(), "signin", policy, PSEUDONYMS, KEYS)
        self._intake = Intake(REQUESTED, SUBMITTED, PSEUDONYMS, FakeConsumerMetrics(), now)
        self._dispatcher = Dispatcher(gateway, limits, now)

    def read(self, record: Record) -> Delivery:
        """Decode a record. It counts as read now."""
        return self._intake.receive(record)

    def handle(self, delivery: Delivery) -> Outcome:
        """Apply a delivery. Raises ``NotNow``."""
        return run_now(self._dispatcher(delivery))


@dataclass
class Reading:
    """How records are read: shares of those that come late, and of those that are read again later by any consumer."""

    late: float = 0.05
    again: float = 0.1


class Consumers:
    """Consumers and their topics: an event is read soon, in order by lane, at least once.

    While they are ``away``, nobody reads.
    """

    def __init__(
        self,
        agenda: Agenda,
        rng: random.Random,
        story: Story,
        consumers: list[Consumer],
        on_read: OnRead,
        on_outcome: OnOutcome,
    ) -> None:
        self.reading = Reading()
        self.away = False
        self._agenda = agenda
        self._rng = rng
        self._story = story
        self._consumers = consumers
        self._on_read = on_read
        self._on_outcome = on_outcome
        self._lanes: defaultdict[str, deque[tuple[Consumer, Delivery]]] = defaultdict(deque)
        self._unread: list[Record] = []
        self._written: list[Record] = []
        self._offset = 0

    def emit(self, topic: str, event: dict[str, Any]) -> None:
        """Write an event to its topic."""
        self._offset += 1
        milliseconds = int(self._agenda.datetime().timestamp() * 1_000)
        record = Record(
            topic=topic,
            partition=0,
            offset=self._offset,
            key=event["signin_id"].encode(),
            value=json.dumps(event).encode(),
            headers=(("traceparent", trace_of(event.get("submission_id") or attempt_name(event))),),
            timestamp_ms=milliseconds,
            log_append_time=self._rng.random() < 0.9,
        )
        self._written.append(record)
        self._agenda.later(self._delay(), lambda: self._arrive(record))

    def rewind(self, seconds: float) -> None:
        """Read everything again that was written so far, some time later."""
        for record in self._written:
            self._agenda.later(seconds, partial(self._arrive, record))

    def come_back(self) -> None:
        """Read what was written meanwhile."""
        self.away = False
        unread = self._unread
        self._unread = []
        for record in unread:
            self._arrive(record)

    def _delay(self) -> float:
        if self._rng.random() < self.reading.late:
            return self._rng.uniform(0.5, 15.0)
        return self._rng.uniform(0.001, 0.05)

    def _arrive(self, record: Record) -> None:
        if self.away:
            self._unread.append(record)
            return

        consumer = self._rng.choice(self._consumers)
        delivery = consumer.read(record)
        self._on_read(record)
        lane = self._lanes[delivery.lane]
        lane.append((consumer, delivery))
        if len(lane) == 1:
            self._agenda.later(self._rng.uniform(0.0, 0.01), lambda: self._handle(delivery.lane))
        if self._rng.random() < self.reading.again:
            self._agenda.later(self._rng.choice((0.5, 20.0, 400.0)) * self._rng.random(), lambda: self._arrive(record))

    def _handle(self, name: str) -> None:
        """Handle the first delivery of a lane, again and again until that succeeds."""
        lane = self._lanes[name]
        consumer, delivery = lane[0]
        try:
            outcome = consumer.handle(delivery)
        except NotNow as reason:
            self._story.add(f"call postponed: {reason.name}")
            self._agenda.later(self._rng.uniform(0.05, 2.0), lambda: self._handle(name))
            return

        self._story.add(f"event {type(outcome).__name__.lower()}", delivery.record.topic)
        self._on_outcome(delivery.record, outcome)
        lane.popleft()
        if lane:
            self._agenda.later(self._rng.uniform(0.0, 0.01), lambda: self._handle(name))
