"""What a recovery waits for: when each part of it was over, and which tasks of the dead worker had to time out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, NamedTuple

from temporalio.api.enums.v1 import EventType, TimeoutType
from temporalio.api.history.v1 import HistoryEvent

UP: Final = "worker up"
ASSIGNED: Final = "partitions assigned"
READ: Final = "last request read"
TAKEN_OVER: Final = "last task taken over"
MAILED: Final = "last mail"
SIGNED_IN: Final = "all signed in"
PARTS: Final = (UP, ASSIGNED, READ, TAKEN_OVER, MAILED, SIGNED_IN)

_LIMIT: Final = {
    TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE: "begun",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START: "not begun",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE: "not done",
    TimeoutType.TIMEOUT_TYPE_HEARTBEAT: "silent",
}


class Takeover(NamedTuple):
    """A task that timed out. ``at``: when it began again, or ended for good, in seconds since the epoch."""

    at: float
    task: str


@dataclass(frozen=True)
class Recovery:
    """One recovery: ``at_s`` tells when each part was over, in seconds after the kill."""

    at_s: Mapping[str, float]
    timeouts: Counter[str]


def time_of(event: HistoryEvent) -> float:
    """Return when an event happened, in seconds since the epoch."""
    return event.event_time.ToMicroseconds() / 1e6


def takeovers(history: Sequence[HistoryEvent]) -> Iterator[Takeover]:
    """Yield the tasks of a workflow that timed out. Of an activity, only the last try shows."""
    overdue = ""

    for event in history:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
                overdue = _named("workflow task", event.workflow_task_timed_out_event_attributes.timeout_type)
            case EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED if overdue:
                yield Takeover(time_of(event), overdue)
                overdue = ""
            case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                failure = event.activity_task_started_event_attributes.last_failure
                if failure.HasField("timeout_failure_info"):
                    yield Takeover(time_of(event), _named("activity", failure.timeout_failure_info.timeout_type))
            case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                failure = event.activity_task_timed_out_event_attributes.failure
                yield Takeover(time_of(event), _named("activity", failure.timeout_failure_info.timeout_type))


def described(recoveries: Sequence[Recovery]) -> str:
    """Return the medians in one line, and what timed out in all recoveries together."""
    medians = {part: median(one.at_s[part] for one in recoveries) for part in PARTS}
    parts = ", ".join(f"{part} {at_s:.1f} s" for part, at_s in medians.items())

    timeouts = sum((one.timeouts for one in recoveries), Counter[str]())
    overdue = ", ".join(f"{count} × {task}" for task, count in sorted(timeouts.items())) or "none"

    return f"after the kill, medians of {len(recoveries)}: {parts}; tasks that timed out: {overdue}"


def _named(task: str, limit: int) -> str:
    return f"{task} {_LIMIT.get(TimeoutType.ValueType(limit), 'overdue')}"
