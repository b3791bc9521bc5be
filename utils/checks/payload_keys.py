"""The check of the payload keys: which of them histories still need (SECURITY S17)."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError

from utils.checks.finding import Finding
from utils.temporal.payload_keys import OldestRuns, oldest_runs

_KEYS: Final = "Temporal payload keys"


async def check_payload_keys(client: Client, ring: Sequence[str], queues: Sequence[str], now: datetime) -> Finding:
    """Report which keys of ``ring``, newest first, the runs on ``queues`` need."""
    names = ", ".join(f"'{queue}'" for queue in queues)
    ours = f"TaskQueue IN ({names})"

    try:
        open_runs = await oldest_runs(client, f"{ours} AND ExecutionStatus = 'Running'", now)
        all_runs = await oldest_runs(client, ours, now)
    except RPCError as error:
        text = f"the runs cannot be listed ({error.status.name}), so nobody knows which old keys they need."
        return Finding.warning(_KEYS, text, "grant read access on the namespace, and drop no key meanwhile.")

    return judge(ring, open_runs, all_runs)


def judge(ring: Sequence[str], open_runs: OldestRuns, all_runs: OldestRuns) -> Finding:
    """Tell what each key of the ring is needed for."""
    if missing := sorted(open_runs.key_ids - set(ring)):
        text = f"open runs are encrypted with {', '.join(missing)}, which SIGNIN_KEYS__PAYLOAD lacks: they stand still."
        return Finding.failed(_KEYS, text, "append the key again, on every worker.")

    by_open = _count_needed(ring, open_runs.key_ids)
    by_any = max(by_open, _count_needed(ring, all_runs.key_ids))
    parts = (
        f"{ring[0]} encrypts",
        _part(ring[1:by_open], f"needed by open runs, the oldest since {_minute(open_runs.started_at)}"),
        _part(ring[by_open:by_any], "needed only to read closed runs"),
        _part(ring[by_any:], "needed by no run"),
    )
    return Finding.passed(_KEYS, f"{'; '.join(filter(None, parts))}.")


def _count_needed(ring: Sequence[str], key_ids: Collection[str]) -> int:
    """Return how many keys are needed: up to the last that the oldest runs began under, and always the first."""
    return max((place + 1 for place, key_id in enumerate(ring) if key_id in key_ids), default=1)


def _part(key_ids: Sequence[str], why: str) -> str:
    return f"{', '.join(key_ids)}: {why}" if key_ids else ""


def _minute(moment: datetime | None) -> str:
    return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"
