"""What the person who runs the demo sees: a live view on a terminal, plain lines elsewhere, and a final table."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.demo.journal import Entry, Journal, milliseconds
from deploy.demo.people import Person

_MARKS: Final = {"in": "→", "mail": "✉", "out": "←", "dead": "✝", "stack": "·"}
_STYLES: Final = {"in": "cyan", "mail": "yellow", "out": "green", "dead": "red", "stack": "dim"}
_STATES: Final = {
    "waiting": "dim",
    "signing in": "cyan",
    "done": "green",
    "right": "bold green",
    "wrong": "bold red",
}
_MAX_FEED_LINES: Final = 12
_MIN_FEED_LINES: Final = 4
_FRAME_LINES: Final = 13  # of the table, the panels and the numbers


@contextlib.contextmanager
def live_view(console: Console, journal: Journal, people: list[Person]) -> Iterator[None]:
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
    """Return the table of what happened to each person."""
    table = Table(title="What happened to each person", title_style="bold")
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
    to_mail = milliseconds(journal.request_to_mail_s)
    to_result = milliseconds(journal.submit_to_result_s)
    table.add_row("everybody", "", "", to_mail, to_result, "")

    problems = [Text(f"{person.name}: {problem}", style="red") for person in people for problem in person.problems]
    return Group(table, *problems)


def gauges_line(journal: Journal) -> str:
    """Return the numbers of the worker and of Temporal as one line."""
    gauges = journal.gauges
    parts = [f"lag {_known(gauges.lag)}", f"in flight {_known(gauges.in_flight)}"]
    parts += [f"{outcome} {count}" for outcome, count in sorted(gauges.outcomes.items()) if count]

    for name, states in gauges.workflows.items():
        counts = ", ".join(f"{count} {state.lower()}" for state, count in states.items())
        parts.append(f"{name}: {counts or 'none'}")

    return " · ".join(parts)


def _counted(results: tuple[str, ...]) -> str:
    plain = [result.partition(" (")[0] for result in results]
    groups = [(result, len(list(repeats))) for result, repeats in itertools.groupby(plain)]
    return "\n".join(result + (f" ×{count}" if count > 1 else "") for result, count in groups) or "none"


def _screen(journal: Journal, people: list[Person], height: int) -> RenderableType:
    mail = journal.last_mail or "none yet"
    lines_without_mail = height - len(people) - _FRAME_LINES
    lines_with_mail = lines_without_mail - len(mail.splitlines())
    shows_mail = lines_with_mail >= _MIN_FEED_LINES
    feed_lines = max(1, min(_MAX_FEED_LINES, lines_with_mail if shows_mail else lines_without_mail))

    parts: list[RenderableType] = [
        _people_table(people),
        _feed(journal.entries[-feed_lines:], feed_lines),
    ]
    if shows_mail:
        parts.append(Panel(Text(mail), title="the last mail, as received"))
    parts.append(Text(gauges_line(journal), style="bold"))
    parts.append(_latencies(journal))

    return Group(*parts)


def _people_table(people: list[Person]) -> Table:
    table = Table(expand=True)
    for heading in ("who", "", "state", "request to mail", "submit to result"):
        table.add_column(heading)

    for person in people:
        state = Text(person.state, style=_STATES[person.state])
        to_mail = milliseconds(person.request_to_mail_s)
        to_result = milliseconds(person.submit_to_result_s)
        table.add_row(person.name, person.about, state, to_mail, to_result)

    return table


def _feed(entries: list[Entry], lines: int) -> Panel:
    title = "→ events in   ✉ mails   ← results out   ✝ dead letters"
    return Panel(Group(*map(_line, entries)), title=title, height=lines + 2)


def _latencies(journal: Journal) -> Text:
    to_mail = milliseconds(journal.request_to_mail_s)
    to_result = milliseconds(journal.submit_to_result_s)
    return Text(f"request to mail {to_mail}, submit to result {to_result}")


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)


def _line(entry: Entry) -> Text:
    time = f"{entry.at:%H:%M:%S}.{entry.at.microsecond // 1000:03d} "
    text = Text(time, style="dim", overflow="ellipsis", no_wrap=True)

    text.append(f"{_MARKS[entry.kind]} {entry.who:<8} ", style="bold")
    return text.append(entry.text, style=_STYLES[entry.kind])
