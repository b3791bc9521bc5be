"""What the person who started the demo sees: a live view on a terminal, plain lines elsewhere, a table at the end."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.demo.journal import Entry, Gauges, Journal, milliseconds
from deploy.demo.people import Person

_MARKS: Final = {"in": "→", "mail": "✉", "out": "←", "dead": "✝", "stack": "·"}
_STYLES: Final = {"in": "cyan", "mail": "yellow", "out": "green", "dead": "red", "stack": "dim"}
_STATES: Final = {"waiting": "dim", "signing in": "cyan", "done": "green", "right": "bold green", "wrong": "bold red"}
_FEED_LINES: Final = 12
_FEWEST_FEED_LINES: Final = 4
_LINES_OF_FRAMES: Final = 13  # of the table, the panels, and the numbers


@contextlib.contextmanager
def watching(console: Console, journal: Journal, people: list[Person]) -> Iterator[None]:
    """Show what happens while the block runs."""
    if not console.is_terminal:
        journal.follow(lambda entry: console.print(_line(entry), soft_wrap=True))
        yield
        return
    with Live(
        get_renderable=lambda: _screen(journal, people, console.height),
        console=console,
        refresh_per_second=8,
        transient=True,
    ):
        yield


def final_table(journal: Journal, people: list[Person]) -> RenderableType:
    """Return the table of what happened to each."""
    table = Table(title="What happened to each", title_style="bold")
    for heading in ("who", "results", "mails", "request to mail", "submit to result", "right?"):
        table.add_column(heading)
    for person in people:
        table.add_row(
            f"{person.name} {person.about}",
            _counted(person.results),
            str(person.mails),
            milliseconds(person.request_to_mail_s),
            milliseconds(person.submit_to_result_s),
            Text("yes" if person.state == "right" else "NO", style=_STATES[person.state]),
        )
    table.add_section()
    mail_s, result_s = journal.request_to_mail_s, journal.submit_to_result_s
    table.add_row("everybody", "", "", milliseconds(mail_s), milliseconds(result_s), "")
    troubles = [Text(f"{person.name}: {trouble}", style="red") for person in people for trouble in person.trouble]
    return Group(table, *troubles)


def _counted(results: tuple[str, ...]) -> str:
    plain = [result.partition(" (")[0] for result in results]
    groups = [(result, len(list(repeats))) for result, repeats in itertools.groupby(plain)]
    return "\n".join(result + (f" ×{count}" if count > 1 else "") for result, count in groups) or "none"


def _screen(journal: Journal, people: list[Person], height: int) -> RenderableType:
    table = Table(expand=True)
    for heading in ("who", "", "state", "request to mail", "submit to result"):
        table.add_column(heading)
    for person in people:
        state = Text(person.state, style=_STATES[person.state])
        mail, result = milliseconds(person.request_to_mail_s), milliseconds(person.submit_to_result_s)
        table.add_row(person.name, person.about, state, mail, result)
    mail = journal.last_mail or "none yet"
    room = height - len(people) - len(mail.splitlines()) - _LINES_OF_FRAMES
    mails = [Panel(Text(mail), title="the last mail, as it arrived")] if room >= _FEWEST_FEED_LINES else []
    lines = min(_FEED_LINES, room if mails else height - len(people) - _LINES_OF_FRAMES)
    feed = Group(*(_line(entry) for entry in journal.entries[-max(lines, 1) :]))
    return Group(
        table,
        Panel(feed, title="→ events in   ✉ mails   ← results out   ✝ dead letters", height=max(lines, 1) + 2),
        *mails,
        Text(_numbers(journal.gauges), style="bold"),
        Text(
            f"request to mail {milliseconds(journal.request_to_mail_s)}, "
            f"submit to result {milliseconds(journal.submit_to_result_s)}"
        ),
    )


def _numbers(gauges: Gauges) -> str:
    parts = [f"lag {_known(gauges.lag)}", f"in flight {_known(gauges.in_flight)}"]
    parts += [f"{outcome} {count}" for outcome, count in sorted(gauges.outcomes.items()) if count]
    for name, states in gauges.workflows.items():
        parts.append(f"{name}: " + (", ".join(f"{count} {state.lower()}" for state, count in states.items()) or "none"))
    return " · ".join(parts)


def numbers(journal: Journal) -> str:
    """Return the worker's and Temporal's numbers as a line."""
    return _numbers(journal.gauges)


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)


def _line(entry: Entry) -> Text:
    text = Text(
        f"{entry.at:%H:%M:%S}.{entry.at.microsecond // 1000:03d} ", style="dim", overflow="ellipsis", no_wrap=True
    )
    text.append(f"{_MARKS[entry.kind]} {entry.who:<8} ", style="bold")
    return text.append(entry.text, style=_STYLES[entry.kind])
