"""The commands ``signin-worker dlt``. What they work with is built by the composition root, which reads settings."""

import json
import os
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Protocol

import typer

from consumers.dead_letters.letters import DeadLetter, Selection, dead_letter, selected_letters, partition_ranges
from consumers.dead_letters.masking import masked_headers, masked_key, masked_letter, masked_value
from consumers.ports import InboundWriter, DeadLetterReader, Partition, ReplayStore, utc_now
from consumers.dead_letters.replay import (
    AnotherReplay,
    RateLimiter,
    Replay,
    ReplayFilter,
    ReplayReport,
    TooScattered,
    pending_letters,
)
from schemas.dead_letters import DeadLetterError
from schemas.topics import dead_letter_topic
from utils.cli.rich_output import Rows, progress
from utils.cli.terminal import CarryOut, command_group, end

_PLACE: Final = re.compile(r"([A-Za-z0-9._-]+)/(\d{1,9})/(\d{1,18})", re.ASCII)
_AGO: Final = re.compile(r"(\d{1,5})([smhd])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MEMBERS: Final = ("place", "origin", "error", "reason", "failed_at", "attempts", "signin_id")
_HEADINGS: Final = (*_MEMBERS, "put_back")


def instant(text: str) -> datetime:
    """Return the time that ``text`` means: RFC 3339 with an offset, or so long ago. Raises ``ValueError``."""
    if ago := _AGO.fullmatch(text):
        return utc_now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time needs an offset")
    return time


Topic = Annotated[str | None, typer.Option(help="Only of this inbound topic, or of its dead-letter topic.")]
Error = Annotated[DeadLetterError | None, typer.Option(help="Only with this dlt-error.")]
Since = Annotated[
    datetime | None,
    typer.Option(parser=instant, metavar="TIME", help="Only what failed first at or after this, or so long ago: 90m."),
]
Until = Annotated[
    datetime | None, typer.Option(parser=instant, metavar="TIME", help="Only what failed first before this.")
]
SignIn = Annotated[str | None, typer.Option("--signin-id", help="Only of this sign-in, by value or else by key.")]
Lines = Annotated[bool, typer.Option("--json", help="Print a JSON object per line.")]


class Letters(AbstractAsyncContextManager[Any], DeadLetterReader, Protocol):
    """The dead-letter topics, connected while it is entered."""


class Memory(AbstractAsyncContextManager[Any], ReplayStore, Protocol):
    """What was put back, connected while it is entered."""


@dataclass(frozen=True)
class Desk:
    """What dead letters are worked on with. ``topics``: the inbound ones; ``close`` is called after a replay."""

    topics: Sequence[str]
    letters: Letters
    memory: Memory
    inbound: InboundWriter
    close: Callable[[], Awaitable[None]]


class DeadLetterCommands:
    """A group of commands. ``open_desk`` reads the settings; ``resume`` asks the instance that they name."""

    def __init__(
        self, open_desk: Callable[[], Desk], resume: Callable[[], Coroutine[Any, Any, bool]], carry_out: CarryOut
    ) -> None:
        self._open_desk = open_desk
        self._resume = resume
        self._carry_out = carry_out

    def group(self) -> typer.Typer:
        """Return the commands."""
        group = command_group("Dead letters: look at them, put them back.")
        group.command("list")(self.list_letters)
        group.command("show")(self.show_letter)
        group.command("replay")(self.replay_letters)
        group.command("resume")(self.resume_consumption)
        return group

    def list_letters(
        self,
        topic: Topic = None,
        error: Error = None,
        since: Since = None,
        until: Until = None,
        signin_id: SignIn = None,
        as_json: Lines = False,
    ) -> None:
        """List dead letters, and which were put back.

        A table on a terminal, elsewhere lines with tabs between the columns.
        """
        desk = self._open_desk()
        topics = _dead_letter_topics(desk, topic)
        self._carry_out(_list(desk, topics, Selection(error, since, until, signin_id), as_json))

    def show_letter(
        self,
        place: Annotated[
            list[str], typer.Argument(metavar="TOPIC PARTITION OFFSET", help="Or TOPIC/PARTITION/OFFSET.")
        ],
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Show one dead letter, masked.

        What may be a code, an address or a token shows its shape only: * stands for a letter, # for a digit.
        """
        desk = self._open_desk()
        found = _PLACE.fullmatch("/".join(place))
        if not found or found[1] not in _dead_letter_topics(desk, None):
            end(os.EX_USAGE, [f"Name a dead letter on {' or '.join(_dead_letter_topics(desk, None))}, as listed."])
        self._carry_out(_show(desk, Partition(found[1], int(found[2])), int(found[3]), as_json))

    def replay_letters(
        self,
        topic: Topic = None,
        error: Error = None,
        since: Since = None,
        until: Until = None,
        signin_id: SignIn = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be put back.")] = False,
        max_attempts: Annotated[
            int, typer.Option(min=1, help="Pass over what was dead-lettered this often: it comes back again and again.")
        ] = 5,
        rate: Annotated[float, typer.Option(min=0.01, help="Records per second, at most.")] = 1_000,
        as_json: Lines = False,
    ) -> None:
        """Put back what was not put back yet.

        Ids are kept, so what was applied before is not applied again. Each is put back on the topic it came from. What
        a filter leaves out stays for the next replay.
        """
        desk = self._open_desk()
        topics = _dead_letter_topics(desk, topic)
        rules = ReplayFilter(Selection(error, since, until, signin_id), max_attempts)
        if dry_run:
            self._carry_out(_rehearse(desk, topics, rules, as_json))
            return
        try:
            self._carry_out(_replay(desk, topics, rules, rate, as_json))
        except AnotherReplay:
            end(
                os.EX_TEMPFAIL,
                ["Another replay is at work on the same dead letters: this one stops, that one goes on."],
            )
        except TooScattered:
            text = "What was put back lies too scattered to be remembered: put back what lies between, without filters."
            end(os.EX_TEMPFAIL, [text])

    def resume_consumption(self) -> None:
        """Let a consumer go on that stopped.

        The instance at SIGNIN_HTTP__HOST and SIGNIN_HTTP__PORT stopped since it met too many dead letters in a minute.
        """
        resumed = self._carry_out(self._resume())
        typer.echo("Consumption goes on." if resumed else "Consumption was not stopped: nothing to do.")


class _LetterRows:
    """Dead letters as rows, or as JSON lines."""

    def __init__(self, as_json: bool) -> None:
        self._rows = None if as_json else Rows(_HEADINGS)

    def add(self, letter: DeadLetter, words: str, **members: bool | str | None) -> None:
        """Show one, and whether it was or would be put back: in words for people, in members for JSON."""
        told = masked_letter(letter)
        if self._rows is None:
            typer.echo(json.dumps(told | members))
        else:
            self._rows.add([*("" if told[name] is None else str(told[name]) for name in _MEMBERS), words])

    def end(self) -> None:
        """Show the rest."""
        if self._rows is not None:
            self._rows.end("no dead letters")


class _Screen:
    """Fulfils ``ReplayListener``: names what is passed over, and moves the bar."""

    def __init__(self, move: Callable[[int], None], as_json: bool) -> None:
        self._move = move
        self._as_json = as_json

    def passed_over(self, letter: DeadLetter, why: str) -> None:
        """Print a line."""
        line = {"place": letter.place, "passed_over": why}
        typer.echo(json.dumps(line) if self._as_json else f"passed over {letter.place}: {why}")

    def advanced(self, offsets: int) -> None:
        """Move the bar."""
        self._move(offsets)


async def _list(desk: Desk, topics: Sequence[str], selection: Selection, as_json: bool) -> None:
    rows = _LetterRows(as_json)
    async with desk.letters, desk.memory:
        found = await partition_ranges(desk.letters, desk.memory, topics)
        async for letter, put_back in selected_letters(desk.letters, found, selection):
            rows.add(letter, "yes" if put_back else "no", put_back=put_back)
    rows.end()


async def _show(desk: Desk, partition: Partition, offset: int, as_json: bool) -> None:
    async with desk.letters, desk.memory:
        for shelf in await partition_ranges(desk.letters, desk.memory, [partition.topic]):
            if shelf.partition == partition and shelf.first <= offset < shelf.end:
                async for record in desk.letters.read(partition, offset, offset + 1):
                    _print(dead_letter(record), offset in shelf.replayed, as_json)
                    return
    end(os.EX_NOINPUT, ["There is no such dead letter, or not any more."])


def _print(letter: DeadLetter, put_back: bool, as_json: bool) -> None:
    headers, value = masked_headers(letter.record.headers), masked_value(letter.record)
    told = {"place": letter.place, "put_back": put_back, "key": masked_key(letter.record.key)}
    if as_json:
        typer.echo(json.dumps({**told, "headers": headers, "value": value}))
        return
    typer.echo(f"{letter.place}, {'put back' if put_back else 'not put back'}")
    for name, text in (("key", told["key"]), *headers):
        typer.echo(f"{name}: {json.dumps(text, ensure_ascii=False)}")
    typer.echo(f"value: {json.dumps(value, ensure_ascii=False, indent=2)}")


async def _rehearse(desk: Desk, topics: Sequence[str], rules: ReplayFilter, as_json: bool) -> None:
    rows = _LetterRows(as_json)
    async with desk.letters, desk.memory:
        for shelf in await partition_ranges(desk.letters, desk.memory, topics):
            async for letter in pending_letters(desk.letters, shelf, rules.selection):
                why = rules.reason_to_pass_over(letter)
                words = f"passed over: {why}" if why else "would be"
                rows.add(letter, words, would_be_put_back=why is None, passed_over=why)
    rows.end()


async def _replay(desk: Desk, topics: Sequence[str], rules: ReplayFilter, rate: float, as_json: bool) -> None:
    try:
        async with desk.letters, desk.memory:
            found = await partition_ranges(desk.letters, desk.memory, topics)
            with progress("dead letters", sum(shelf.end - shelf.first for shelf in found)) as move:
                screen = _Screen(move, as_json)
                replay = Replay(desk.letters, desk.memory, desk.inbound, rules, screen, RateLimiter(rate))
                try:
                    await replay.run(found)
                finally:
                    _sum_up(replay.tally, as_json)
    finally:
        await desk.close()


def _sum_up(tally: ReplayReport, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"put_back": tally.put_back, "passed_over": dict(tally.passed_over)}))
        return
    typer.echo(f"put back: {tally.put_back}")
    for why, count in tally.passed_over.items():
        typer.echo(f"passed over, {why}: {count}")


def _dead_letter_topics(desk: Desk, chosen: str | None) -> list[str]:
    """Return the dead-letter topics that are meant, or end with 64 if ``chosen`` is none of ours."""
    topics = [dead_letter_topic(topic) for topic in desk.topics if chosen in (None, topic, dead_letter_topic(topic))]
    if not topics:
        end(os.EX_USAGE, [f"--topic can be {' or '.join(desk.topics)}."])
    return topics
