"""Bounds of a consumer: how much it reads ahead, and how long it waits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ConsumerLimits:
    """Limits in records, bytes, milliseconds and seconds.

    ``max_records``: how many lanes run side by side. More records may queue behind the first of their lane.
    ``max_read_ahead``: how many offsets a partition is read beyond its watermark. It is half of the records that may
    queue, so that a flood of one key stops its own partition first.
    """

    max_records: int = 512
    max_bytes: int = 16 * 1024 * 1024
    max_read_ahead: int = 4_096
    poll_ms: int = 200
    poll_when_full_ms: int = 20
    drain_s: float = 15.0
    commit_interval_s: float = 1.0
    commit_timeout_s: float = 3.0
    report_every_s: float = 1.0
    retry_s: float = 1.0
    stop_s: float = 3.0
    head_of_line_s: float = 60.0
    stall_s: float = 50.0
