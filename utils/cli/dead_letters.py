"""The commands ``signin-worker dlt``: look at dead letters, and put them back."""

import json
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Final

import typer

from consumers.dead_letters.letters import (
    DeadLetter,
    PartitionRange,
    Selection,
    dead_letter,
    partition_ranges,
    selected_letters,
)
from consumers.dead_letters.masking import masked_headers, masked_key, masked_letter, masked_value
from consumers.dead_letters.replay import (
    AnotherReplay,
    RateLimiter,
    Replay,
    ReplayFilter,
    ReplayReport,
    TooScattered,
    pending_letters,
)
from consumers.ports import DeadLetterReader, Partition, ReplayStore, utc_now
from schemas.dead_letters import DeadLetterError
from schemas.topics import dead_letter_topic
from utils.cli.rich_output import Rows, progress
from utils.cli.terminal import Json, command_group, end_command, read_wiring, run_command
from utils.wiring import Wiring

_PLACE: Final = re.compile(r"([A-Za-z0-9._-]+)/(\d{1,9})/(\d{1,18})", re.ASCII)
_AGO: Final = re.compile(r"(\d{1,5})([smhd])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MEMBERS: Final = ("place", "origin", "error", "reason", "failed_at", "attempts", "signin_id")
_HEADINGS: Final = (*_MEMBERS, "put_back")

dead_letters = command_group("Dead letters: look at them, put them back.")


def instant(text: str) -> datetime:
    """Return the time that ``text`` means: RFC 3339 with an offset, or so long ago. Raises ``ValueError``."""
    if ago := _AGO.fullmatch(text):
        return utc_now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})

    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time needs an offset")
    return time


Topic = Annotated[str | None, typer.Option(help="Only from this inbound topic, or its dead-letter topic.")]
Error = Annotated[DeadLetterError | None, typer.Option(help="Only with this dlt-error.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=instant, metavar="TIME", help="Only what first failed then or later; 90m: 90 min ago."),
]
Until = Annotated[
    datetime | None, typer.Option(parser=instant, metavar="TIME", help="Only what first failed before this time.")
]
SignIn = Annotated[str | None, typer.Option("--signin-id", help="Only of this sign-in, by value or else by key.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]


@dead_letters.command("list")
def list_letters(
    context: typer.Context,
    topic: Topic = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    signin_id: SignIn = None,
    as_json: JsonLines = False,
) -> None:
    """List dead letters, and whether each was put back.

    Prints a table on a terminal, tab-separated lines elsewhere.
    """
    wiring = read_wiring(context, "SIGNIN_KAFKA__")
    topics = _dead_letter_topics(wiring, topic)
    run_command(_list(wiring, topics, Selection(error, since, until, signin_id), as_json))


@dead_letters.command("show")
def show_letter(
    context: typer.Context,
    place: Annotated[list[str], typer.Argument(metavar="TOPIC PARTITION OFFSET", help="Or TOPIC/PARTITION/OFFSET.")],
    as_json: Json = False,
) -> None:
    """Show one dead letter, masked.

    Anything that may be a code, an address or a token is reduced to its shape: * for a letter, # for a digit.
    """
    wiring = read_wiring(context, "SIGNIN_KAFKA__")
    topics = _dead_letter_topics(wiring)

    found = _PLACE.fullmatch("/".join(place))
    if not found or found[1] not in topics:
        end_command(os.EX_USAGE, f"Name a dead letter on {' or '.join(topics)}, as listed.")

    partition = Partition(found[1], int(found[2]))
    run_command(_show(wiring, partition, int(found[3]), as_json))


@dead_letters.command("replay")
def replay_letters(
    context: typer.Context,
    topic: Topic = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    signin_id: SignIn = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be put back.")] = False,
    max_attempts: Annotated[
        int, typer.Option(min=1, help="Skip what was dead-lettered this often: it would come back once more.")
    ] = 5,
    rate: Annotated[float, typer.Option(min=0.01, help="Maximum of records per second.")] = 1_000,
    as_json: JsonLines = False,
) -> None:
    """Put back every dead letter that was not put back yet.

    Each goes to the topic it came from. Ids are kept, so what was applied before is not applied again. What a
    filter leaves out stays for the next replay.
    """
    wiring = read_wiring(context, "SIGNIN_KAFKA__")
    topics = _dead_letter_topics(wiring, topic)
    replay_filter = ReplayFilter(Selection(error, since, until, signin_id), max_attempts)

    if dry_run:
        run_command(_rehearse(wiring, topics, replay_filter, as_json))
        return

    try:
        run_command(_replay(wiring, topics, replay_filter, rate, as_json))
    except AnotherReplay:
        end_command(os.EX_TEMPFAIL, "Another replay of the same dead letters is running: this one stops.")
    except TooScattered:
        text = "The letters put back are too scattered to be remembered: replay those between them without filters."
        end_command(os.EX_TEMPFAIL, text)


@dead_letters.command("resume")
def resume_consumer(context: typer.Context) -> None:
    """Resume a stopped consumer.

    A consumer stops when it meets too many dead letters within a minute. This command talks to the one at
    SIGNIN_HTTP__HOST and SIGNIN_HTTP__PORT.
    """
    resumed = run_command(read_wiring(context, "SIGNIN_HTTP__").resume())
    typer.echo("The consumer is resumed." if resumed else "The consumer was not stopped: nothing to do.")


class _LetterRows:
    """Dead letters as rows, or as JSON lines."""

    def __init__(self, as_json: bool) -> None:
        self._rows = None if as_json else Rows(_HEADINGS)

    def add(self, letter: DeadLetter, text: str, **members: bool | str | None) -> None:
        """Print one letter. Whether it was put back: ``text`` for people, ``members`` for JSON."""
        fields = masked_letter(letter)
        if self._rows is None:
            typer.echo(json.dumps(fields | members))
            return

        cells = ["" if fields[name] is None else str(fields[name]) for name in _MEMBERS]
        self._rows.add([*cells, text])

    def end(self) -> None:
        """Print the rest."""
        if self._rows is not None:
            self._rows.end("no dead letters")


class _ReplayOutput:
    """Fulfils ``ReplayListener``: prints what is passed over, and moves the progress bar."""

    def __init__(self, move: Callable[[int], None], as_json: bool) -> None:
        self._move = move
        self._as_json = as_json

    def passed_over(self, letter: DeadLetter, reason: str) -> None:
        """Print a line."""
        line = {"place": letter.place, "passed_over": reason}
        typer.echo(json.dumps(line) if self._as_json else f"passed over {letter.place}: {reason}")

    def advanced(self, offsets: int) -> None:
        """Move the bar."""
        self._move(offsets)


@asynccontextmanager
async def _connected(
    wiring: Wiring, topics: Sequence[str]
) -> AsyncIterator[tuple[DeadLetterReader, ReplayStore, list[PartitionRange]]]:
    """Connect, and yield the dead letters, the store of replays, and the partitions as they are now."""
    async with wiring.dead_letters() as letters, wiring.replay_store() as store:
        yield letters, store, await partition_ranges(letters, store, topics)


async def _list(wiring: Wiring, topics: Sequence[str], selection: Selection, as_json: bool) -> None:
    rows = _LetterRows(as_json)

    async with _connected(wiring, topics) as (letters, _, parts):
        async for letter, put_back in selected_letters(letters, parts, selection):
            rows.add(letter, "yes" if put_back else "no", put_back=put_back)
    rows.end()


async def _show(wiring: Wiring, partition: Partition, offset: int, as_json: bool) -> None:
    async with _connected(wiring, [partition.topic]) as (letters, _, parts):
        for part in parts:
            if part.partition == partition and part.first <= offset < part.end:
                async for record in letters.read(partition, offset, offset + 1):
                    return _print(dead_letter(record), offset in part.replayed, as_json)

    end_command(os.EX_NOINPUT, "There is no such dead letter (any more).")


def _print(letter: DeadLetter, put_back: bool, as_json: bool) -> None:
    key = masked_key(letter.record.key)
    headers = masked_headers(letter.record.headers)
    value = masked_value(letter.record)

    if as_json:
        fields = {"place": letter.place, "put_back": put_back, "key": key, "headers": headers, "value": value}
        typer.echo(json.dumps(fields))
        return

    typer.echo(f"{letter.place}, {'put back' if put_back else 'not put back'}")
    for name, text in (("key", key), *headers):
        typer.echo(f"{name}: {json.dumps(text, ensure_ascii=False)}")
    typer.echo(f"value: {json.dumps(value, ensure_ascii=False, indent=2)}")


async def _rehearse(wiring: Wiring, topics: Sequence[str], replay_filter: ReplayFilter, as_json: bool) -> None:
    rows = _LetterRows(as_json)

    async with _connected(wiring, topics) as (letters, _, parts):
        for part in parts:
            async for letter in pending_letters(letters, part, replay_filter.selection):
                reason = replay_filter.reason_to_pass_over(letter)
                text = f"passed over: {reason}" if reason else "would be"
                rows.add(letter, text, would_be_put_back=reason is None, passed_over=reason)
    rows.end()


async def _replay(
    wiring: Wiring, topics: Sequence[str], replay_filter: ReplayFilter, rate: float, as_json: bool
) -> None:
    async with wiring.inbound_writer() as inbound, _connected(wiring, topics) as (letters, store, parts):
        offsets = sum(part.end - part.first for part in parts)

        with progress("dead letters", offsets) as move:
            output = _ReplayOutput(move, as_json)
            replay = Replay(letters, store, inbound, replay_filter, output, RateLimiter(rate))
            try:
                await replay.run(parts)
            finally:
                _print_report(replay.report, as_json)


def _print_report(report: ReplayReport, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"put_back": report.put_back, "passed_over": dict(report.passed_over)}))
        return

    typer.echo(f"put back: {report.put_back}")
    for reason, count in report.passed_over.items():
        typer.echo(f"passed over, {reason}: {count}")


def _dead_letter_topics(wiring: Wiring, chosen: str | None = None) -> list[str]:
    """Return the dead-letter topics that are meant, or end with 64 if ``chosen`` is none of ours."""
    of_inbound = {topic: dead_letter_topic(topic) for topic in wiring.inbound_topics}
    topics = [letters for inbound, letters in of_inbound.items() if chosen in (None, inbound, letters)]
    if not topics:
        end_command(os.EX_USAGE, f"--topic can be {' or '.join(wiring.inbound_topics)}.")
    return topics
