"""The command ``signin-worker forget``: erases what is held about a person, as far as that can be done at once."""

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final

import typer

from activities.addresses import masked, parse_address
from activities.audit import audit_erasure
from activities.errors import TemporalUnavailable
from consumers.ports import KafkaUnavailable, utc_now
from schemas.limits import Clearing
from utils.cli.terminal import (
    Json,
    email_address,
    end_command,
    operator_name,
    read_wiring,
    require_account_key,
    run_command,
)
from utils.kafka.retention import A_CENTURY, Held, Unknown, retention
from utils.temporal.client import namespace_retention
from utils.temporal.erasure import Holdings, Kind, StoredRun, TemporalErasure
from utils.wiring import Wiring

_SETTINGS: Final = ("SIGNIN_KAFKA__", "SIGNIN_KEYS__ACCOUNT", "SIGNIN_KEYS__PAYLOAD", "SIGNIN_REPLAY_HORIZON_S")
_LIMITS_REACH_BACK: Final = timedelta(days=1)
_NAMES: Final[dict[Kind, str]] = {
    "request": "requests",
    "overflow": "workflows with unpublished results",
    "mailbox": "runs of the mailbox",
}
_WHY_KEPT: Final[dict[Kind, str]] = {
    "request": "their records could be read again, and would be decided again",
    "overflow": "Kafka has yet to take their results",
    "mailbox": "an open one holds the limits on mails and wrong codes, a closed one names requests that stay",
}
_LIMITS_ARE_LOST: Final = (
    "With --now, mails and wrong codes count from zero again: whoever is guessing may go on. Live sign-ins end without "
    "a result."
)
_NOT_RECORDED: Final = (
    "  No worker answered, so the audit trail of the workers does not know that the limits are lost: the line "
    "sensitive_delete of this command is the only one, keep it"
)
_ELSEWHERE: Final = "logs, mail servers, backups, and whoever reads the results: docs/retention.md has the list"


@dataclass(frozen=True)
class Found:
    """What Temporal holds, which of it goes, and how long the rest is held. ``topics``: None if Kafka is away.

    ``temporal_holds``: None if that is for ever.
    """

    holdings: Holdings
    deleted: tuple[StoredRun, ...]
    kept: tuple[StoredRun, ...]
    again_at: datetime | None
    temporal_holds: timedelta | None
    topics: dict[str, Held] | None

    @property
    def limits_lost(self) -> bool:
        """Whether an open mailbox is deleted."""
        return any(run.kind == "mailbox" and run.is_open for run in self.deleted)


@dataclass(frozen=True)
class Erased:
    """How many runs are still there, and whether a worker recorded that limits are lost: None if none were."""

    left: int = 0
    recorded_by_worker: bool | None = None


def forget(
    context: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The person's address. -: a line of standard input.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Also what still protects: the limits are lost.")] = False,
    search: Annotated[bool, typer.Option("--search", help="Look into every request. Takes minutes.")] = False,
    operator: Annotated[str, typer.Option(help="Your name for the audit trail. Default: the user's.")] = "",
    as_json: Json = False,
) -> None:
    """Delete what Temporal holds about a person, and say what remains where, and until when.

    Ends with 75 while something remains that protects others: run it again a day later.
    """
    text = sys.stdin.readline().strip() if email == "-" else email
    address = email_address(text)
    name = operator_name(operator)
    wiring = read_wiring(context, *_SETTINGS)
    require_account_key(wiring)
    mailbox = wiring.pseudonyms.mailbox(address)

    found = run_command(_find(wiring, mailbox, search=search, now=now))
    if not as_json:
        _print_plan(f"{masked(text)}, mailbox {mailbox}", found)
    if found.deleted and not yes and as_json:
        end_command(os.EX_USAGE, "Nothing was deleted: with --json, nobody is asked, so add --yes.")
    elif found.deleted and not yes:
        _confirm(can_ask=email != "-" and sys.stdin.isatty())

    erased = Erased()
    if found.deleted:  # an erasure that ends halfway is one
        audit_erasure(name, mailbox, len(found.deleted), limits_lost=found.limits_lost)
        account = wiring.pseudonyms.account(address)
        clearing = Clearing(account=account, mails=True, failures=True, operator=name, masked=masked(text))
        erased = run_command(_erase(wiring, mailbox, found, clearing))

    _print_report(mailbox, found, erased, as_json=as_json)
    if found.kept or erased.left:
        raise typer.Exit(os.EX_TEMPFAIL)


async def _find(wiring: Wiring, mailbox: str, *, search: bool, now: bool) -> Found:
    client = await wiring.temporal()
    belongs = (lambda email: _mailbox_of(wiring, email) == mailbox) if search else None
    holdings = await TemporalErasure(client).find(mailbox, belongs)

    horizon = timedelta(seconds=wiring.settings.replay_horizon_s)
    kept = () if now else holdings.kept(utc_now(), horizon)
    deleted = tuple(run for run in holdings.runs if run not in kept)
    temporal_holds = await namespace_retention(client)

    return Found(
        holdings,
        deleted,
        kept,
        _again_at(kept, utc_now(), horizon),
        temporal_holds if temporal_holds <= A_CENTURY else None,
        await _topics(wiring),
    )


def _mailbox_of(wiring: Wiring, email: str) -> str | None:
    address = parse_address(email)
    return None if address is None else wiring.pseudonyms.mailbox(address)


async def _topics(wiring: Wiring) -> dict[str, Held] | None:
    names = [plan.name for plan in wiring.topic_plans]
    try:
        return await retention(wiring.kafka_access, names)
    except KafkaUnavailable:
        return None


async def _erase(wiring: Wiring, mailbox: str, found: Found, clearing: Clearing) -> Erased:
    recorded = await _is_recorded(wiring, mailbox, clearing) if found.limits_lost else None
    return Erased(len(await _delete(wiring, mailbox, found.deleted)), recorded)


async def _is_recorded(wiring: Wiring, mailbox: str, clearing: Clearing) -> bool:
    """Have a worker give the budgets back: it records that in its own audit trail, which no operator's shell can drop.

    An erasure waits for no worker, and none may have the mailbox's key.
    """
    limits = await wiring.limits()
    try:
        await limits.clear(mailbox, clearing)
    except TemporalUnavailable:
        return False
    return True


async def _delete(wiring: Wiring, mailbox: str, runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Delete runs; return those that are still there, and the next run if an open mailbox began it meanwhile."""
    erasure = TemporalErasure(await wiring.temporal())
    left = await erasure.delete(runs)
    if not any(run.is_open for run in runs):
        return [*left]

    known = {run.run_id for run in runs}
    later = [run for run in (await erasure.find(mailbox)).runs if run.is_open and run.run_id not in known]
    return [*left, *later]


def _again_at(kept: Sequence[StoredRun], now: datetime, horizon: timedelta) -> datetime | None:
    """Return when nothing needs to stay any more, provided that the person does not sign in again.

    What cannot be read here does not become readable by waiting.
    """
    waiting = [run for run in kept if run.is_open or run.is_readable]
    ends = [run.started_at + horizon if run.kind == "request" else now + _LIMITS_REACH_BACK for run in waiting]
    return max(ends, default=None)


def _confirm(*, can_ask: bool) -> None:
    if not can_ask:
        end_command(os.EX_USAGE, "Nothing was deleted: there is no terminal to ask on, so add --yes.")
    if not typer.confirm("Delete it?"):
        end_command(os.EX_TEMPFAIL, "Nothing was deleted.")


def _print_plan(who: str, found: Found) -> None:
    if not found.holdings.runs:
        typer.echo(f"{who}: Temporal holds nothing under this account key")
        _print_unreadable(found.holdings)
        return

    typer.echo(f"{who}: to be deleted: {_counted(found.deleted) or 'nothing'}")
    for kind, count in _counts(found.kept).items():
        typer.echo(f"  stays for now: {count} {_NAMES[kind]}, since {_WHY_KEPT[kind]}")
    if found.again_at:
        typer.echo(f"  Run this again after {_time(found.again_at)}. {_LIMITS_ARE_LOST}")
    elif any(run.is_open for run in found.deleted):
        typer.echo(f"  {_LIMITS_ARE_LOST}")
    _print_unreadable(found.holdings)


def _print_unreadable(holdings: Holdings) -> None:
    key = "encrypted under a key that this command does not have"
    if holdings.unreadable:
        typer.echo(f"  {holdings.unreadable} of these runs are {key}. Only they name their requests:")
        typer.echo("  run this with that key in SIGNIN_KEYS__PAYLOAD, too; if it is lost, with --now")
    if holdings.unreadable_requests:
        typer.echo(f"  {holdings.unreadable_requests} requests of all people are {key}: some may be theirs")


def _print_report(mailbox: str, found: Found, erased: Erased, *, as_json: bool) -> None:
    now = utc_now()
    if as_json:
        typer.echo(json.dumps(_report(mailbox, found, erased, now)))
        return

    if found.deleted:
        typer.echo(f"deleted: {_counted(found.deleted)}")
    if erased.recorded_by_worker is False:
        typer.echo(_NOT_RECORDED)
    if erased.left:
        typer.echo(f"  {erased.left} of them are still being deleted: run this again to see that they are gone")

    typer.echo("what remains:")
    typer.echo(f"  Temporal, requests that never reached the mailbox: {_until(found.temporal_holds, now)} (--search)")
    if found.topics is None:
        typer.echo("  Kafka does not answer: its topics hold records for their retention.ms and segment.ms")
    for topic, held in (found.topics or {}).items():
        typer.echo(f"  Kafka, {topic}: {_until(held, now)}")
    typer.echo(f"  {_ELSEWHERE}")


def _report(mailbox: str, found: Found, erased: Erased, now: datetime) -> dict[str, object]:
    topics = (found.topics or {}).items()
    unknown = {topic: held.why for topic, held in topics if isinstance(held, Unknown)}
    ends = {topic: _end(held, now) for topic, held in topics if not isinstance(held, Unknown)}

    return {
        "mailbox": mailbox,
        "deleted": _counts(found.deleted),
        "kept": _counts(found.kept),
        "again_at": _time(found.again_at) if found.again_at else None,
        "being_deleted": erased.left,
        "recorded_by_worker": erased.recorded_by_worker,
        "unreadable": found.holdings.unreadable,
        "unreadable_requests": found.holdings.unreadable_requests,
        "unsearched_until": _end(found.temporal_holds, now),
        "topics": None if found.topics is None else ends,
        "unknown_topics": unknown,
    }


def _until(held: Held, now: datetime) -> str:
    if isinstance(held, Unknown):
        return f"unknown: {held.why}"

    end = _end(held, now)
    return "FOR EVER, by its settings" if end is None else f"until {end}"


def _end(held: timedelta | None, now: datetime) -> str | None:
    return None if held is None else _time(now + held)


def _counts(runs: Sequence[StoredRun]) -> dict[Kind, int]:
    counted = Counter(run.kind for run in runs)
    return {kind: counted[kind] for kind in _NAMES if counted[kind]}


def _counted(runs: Sequence[StoredRun]) -> str:
    return ", ".join(f"{count} {_NAMES[kind]}" for kind, count in _counts(runs).items())


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
