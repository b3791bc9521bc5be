"""What ``signin-worker status`` and ``signin-worker trace`` show, also as JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from schemas.fields import Message


class PartitionLag(Message):
    """The lag of one partition.

    ``committed`` is None if the group has never committed. ``oldest`` is the timestamp of the
    next record. ``behind_open_transaction``: how many of the last records can't be read, because
    a transaction is open.
    """

    topic: str
    partition: int
    end: int
    committed: int | None
    lag: int
    oldest: datetime | None
    behind_open_transaction: int = 0


class WorkflowCounts(Message):
    """Workflows by type and status. Temporal's list is seconds behind.

    ``waiting`` and ``locked`` are None if the namespace lacks the search attributes.
    """

    by_status: Mapping[str, Mapping[str, int]]
    waiting: int | None
    locked: int | None


class WorkerPage(Message):
    """What one worker has counted since its start. ``missing``: what keeps it from being ready."""

    missing: tuple[str, ...]
    in_flight: int
    limit: int
    breaker_open: bool
    rebuilds: int
    records: Mapping[str, int]
    results: Mapping[str, int]
    mails: Mapping[str, int]


class Status(Message):
    """The state of the whole system. ``away``: which part did not answer, and with what error.

    ``unseen``: the topics of which Kafka shows no partition.
    """

    at: datetime
    partitions: tuple[PartitionLag, ...] = ()
    unseen: tuple[str, ...] = ()
    workflows: WorkflowCounts | None = None
    worker: WorkerPage | None = None
    away: Mapping[str, str] = {}


class TraceEvent(Message):
    """One step of a sign-in.

    ``details`` holds names, numbers and ids: never an address, code, token or seal.
    """

    at: datetime
    where: Literal["Kafka", "request", "mailbox"]
    what: str
    details: Mapping[str, str | int] = {}


class Trace(Message):
    """The steps of one sign-in, oldest first.

    ``outcome`` is the type of its terminal result, or None. ``unseen``: the topics that could not be searched.
    """

    signin_id: str
    account: str | None = None
    mailbox: str | None = None
    masked: str | None = None
    outcome: str | None = None
    moments: tuple[TraceEvent, ...] = ()
    unseen: tuple[str, ...] = ()
    away: Mapping[str, str] = {}
