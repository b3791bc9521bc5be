"""How everything stands, and the story of one sign-in: what ``signin-worker status`` and ``trace`` show as JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from schemas.fields import Message


class PartitionLag(Message):
    """One partition. ``committed`` is None if the group never committed; ``oldest`` is the stamp of what is next."""

    topic: str
    partition: int
    end: int
    committed: int | None
    lag: int
    oldest: datetime | None


class WorkflowCounts(Message):
    """Counts by type and status, as Temporal lists them: seconds behind. None where it has no search attributes."""

    by_status: Mapping[str, Mapping[str, int]]
    waiting: int | None
    locked: int | None


class WorkerPage(Message):
    """What one worker says of itself since its start. ``missing``: what keeps it from being ready."""

    missing: tuple[str, ...]
    in_flight: int
    limit: int
    breaker_open: bool
    rebuilds: int
    records: Mapping[str, int]
    results: Mapping[str, int]
    mails: Mapping[str, int]


class Status(Message):
    """All of it. ``away`` says who did not answer, and how that showed."""

    at: datetime
    partitions: tuple[PartitionLag, ...] = ()
    workflows: WorkflowCounts | None = None
    worker: WorkerPage | None = None
    away: Mapping[str, str] = {}


class TraceEvent(Message):
    """One thing that happened. ``details`` are names, numbers and ids: never an address, a code, a token, a seal."""

    at: datetime
    where: Literal["Kafka", "request", "mailbox"]
    what: str
    details: Mapping[str, str | int] = {}


class Trace(Message):
    """What happened to a sign-in, oldest first. ``outcome`` is the type of its terminal result, None before."""

    signin_id: str
    account: str | None = None
    mailbox: str | None = None
    masked: str | None = None
    outcome: str | None = None
    moments: tuple[TraceEvent, ...] = ()
    away: Mapping[str, str] = {}
