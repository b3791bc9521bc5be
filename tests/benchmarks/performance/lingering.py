"""What it costs the server when a mailbox that lingered comes to its end (P1b).

A day is made short. By the time that mailboxes end, the timers of their codes are long over, so what is measured is
what happens after a day too: a timer fires, a task is done, a workflow ends. That the timer is set is part of P1: it
is set in the task after the last result. What is not in it: after a day a worker may have to read the history again.

Beside it, at the same pace on the same server: whole sign-ins of the floor, since what anything costs a server depends
on how much else it does at a time; and empty workflows that end by a timer, the least that such an end can cost.
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
    """The server's CPU, ms, without what it uses when idle: for an end of ours, a bare one, a floor's sign-in."""

    ours: float
    bare: float
    floor: float


def settings(mailboxes: int) -> dict[str, str]:
    """Return the settings of a worker whose mailboxes end soon, but one phase after the other."""
    return {**SETTINGS, _LINGER: str(_linger_s(mailboxes))}


def _opening_s(mailboxes: int) -> float:
    return mailboxes / _PER_S


def _linger_s(mailboxes: int) -> int:
    """Return when the first ends: after they were opened, others bare, the floor's people, and some quiet."""
    return round(3 * (_opening_s(mailboxes) + _MARGIN_S) + _QUIET_S + 2 * _MARGIN_S)


async def costs_of_ends(scene: Arena, ours: Way, floor: Way, bare: Peer, mailboxes: int) -> Ends | None:
    """Return what ends cost. None: the machine was too busy, and the mailboxes did not end when they should have."""
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
        open_before = await _open(scene, kind)
        before = _cpu_s(ours)
        since = time.monotonic()
        await _until(first_ends_at + opening_s + _MARGIN_S / 2)
        used_s = _cpu_s(ours) - before - idle_per_s * (time.monotonic() - since)
        if open_before - await _open(scene, kind) != mailboxes:
            return None

        used_ms[kind] = used_s / mailboxes * 1e3

    return Ends(used_ms[_OURS], used_ms[_BARE], people.cost.cpu_ms[SERVER])


def _cpu_s(way: Way) -> float:
    return way.cpu_s()[SERVER]


async def _open(scene: Arena, kind: str) -> int:
    return (await scene.client.count_workflows(f"WorkflowType = '{kind}' AND ExecutionStatus = 'Running'")).count


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
