"""Measures what it costs the server when a lingering mailbox ends (P1b).

The lingering time of a day is shortened. When the mailboxes end, the timers of their codes have long fired, so the
measurement covers what also happens after a day: a timer fires, a task runs, a workflow ends. Setting the timer is part
of P1, because it is set in the task after the last result. One thing is missing: after a day, a worker may have to read
the history again.

Two more loads are measured at the same rate on the same server: whole sign-ins of the floor, since the cost of anything
depends on how much else a server does at that time; and empty workflows that end by a timer, the least that such an end
can cost.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.performance.arena import SERVER, Arena, Way
from tests.benchmarks.performance.peers import Peer

_PER_S: Final = 8.0
_LIFETIME_S: Final = 8
_MARGIN_S: Final = 2.0
_QUIET_S: Final = 6.0
SETTINGS: Final = {
    "SIGNIN_OTP__LIFETIME_S": str(_LIFETIME_S),
    "SIGNIN_OTP__SHORTEST_RESEND_S": "1",
    "SIGNIN_MAX_EVENT_AGE_S": "10",
}
_LINGER: Final = "SIGNIN_TIMES__LINGER_S"
_OURS = "verify_otp_workflow"
_BARE = "floor_lingerer"


@dataclass(frozen=True)
class Ends:
    """The server's CPU in ms, less its idle use: per end of ours, per end of an empty workflow, per floor sign-in."""

    ours: float
    bare: float
    floor: float


def settings(mailboxes: int) -> dict[str, str]:
    """Return the settings of a worker whose mailboxes end soon, but after the other phases."""
    return {**SETTINGS, _LINGER: str(_linger_s(mailboxes))}


def _opening_s(mailboxes: int) -> float:
    return mailboxes / _PER_S


def _linger_s(mailboxes: int) -> int:
    """Return the lingering time: enough to open ours and the empty ones, run the floor, and be idle for a while."""
    return round(3 * (_opening_s(mailboxes) + _MARGIN_S) + _QUIET_S + 2 * _MARGIN_S)


async def costs_of_ends(arena: Arena, ours: Way, floor: Way, bare: Peer, mailboxes: int) -> Ends | None:
    """Return what ends cost, or None if the machine was too busy and the mailboxes did not end on time."""
    opening_s = _opening_s(mailboxes)
    linger_s = _linger_s(mailboxes)

    begun = time.monotonic()
    await ours.pace(mailboxes, _PER_S)
    bare_begun = time.monotonic()
    bare_s = begun + linger_s + opening_s + 2 * _MARGIN_S - bare_begun
    await bare.ask("linger", mailboxes=mailboxes, per_s=_PER_S, seconds=bare_s)
    await _until(begun + opening_s + _LIFETIME_S + _MARGIN_S)
    people = await floor.pace(mailboxes, _PER_S)

    before = _cpu_s(ours)
    since = time.monotonic()
    await asyncio.sleep(_QUIET_S)
    idle_per_s = (_cpu_s(ours) - before) / (time.monotonic() - since)
    used_ms = dict[str, float]()

    for kind, first_ends_at in ((_OURS, begun + linger_s), (_BARE, bare_begun + bare_s)):
        await _until(first_ends_at - _MARGIN_S / 2)
        open_before = await _open(arena, kind)
        before = _cpu_s(ours)
        since = time.monotonic()
        await _until(first_ends_at + opening_s + _MARGIN_S / 2)
        used_s = _cpu_s(ours) - before - idle_per_s * (time.monotonic() - since)
        if open_before - await _open(arena, kind) != mailboxes:
            return None

        used_ms[kind] = used_s / mailboxes * 1e3

    return Ends(used_ms[_OURS], used_ms[_BARE], people.cost.cpu_ms[SERVER])


def _cpu_s(way: Way) -> float:
    return way.cpu_s()[SERVER]


async def _open(arena: Arena, kind: str) -> int:
    return (await arena.client.count_workflows(f"WorkflowType = '{kind}' AND ExecutionStatus = 'Running'")).count


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
