"""Tables and a progress bar on a terminal, lines for other programs elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

_ROWS_PER_PAGE: Final = 100
_VERDICTS: Final = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}
_VERDICT_WIDTH: Final = 4
_NAME_WIDTH: Final = 20


class Rows:
    """A table of any length: printed page by page on a terminal, as tab-separated lines elsewhere.

    The first column is never wrapped, so that it can be copied into the next command.
    """

    def __init__(self, headings: Sequence[str], console: Console | None = None) -> None:
        self._headings = headings
        self._console = console or Console()
        self._page: list[Sequence[str]] = []
        self._is_empty = True

    def add(self, cells: Sequence[str]) -> None:
        """Print a row, at once or with its page."""
        row = [" ".join(cell.split()) for cell in cells]

        if self._console.is_terminal:
            self._page.append(row)
            if len(self._page) == _ROWS_PER_PAGE:
                self._print_page()
        else:
            if self._is_empty:
                typer.echo("\t".join(self._headings))
            typer.echo("\t".join(row))

        self._is_empty = False

    def end(self, nothing: str) -> None:
        """Print the last page. Without any row, print ``nothing`` to stderr."""
        if self._page:
            self._print_page()
        if self._is_empty:
            typer.echo(nothing, err=True)

    def _print_page(self) -> None:
        table = Table(Column(self._headings[0], no_wrap=True), *self._headings[1:])
        for row in self._page:
            table.add_row(*(Text(cell, overflow="fold") for cell in row))

        self._console.print(table)
        self._page.clear()


@contextlib.contextmanager
def progress(what: str, total: int, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr if that is a terminal. Yields a function that advances it."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda steps: None
        return

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # With stdout on the terminal too, the command prints above the bar; a pipe gets its output untouched.
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)


def print_verdict(console: Console, verdict: str, name: str, text: str, fix: str | None) -> None:
    """Print a finding in columns. Its fix is never wrapped, so that it can be copied."""
    columns = (Column(width=_VERDICT_WIDTH), Column(width=_NAME_WIDTH), Column(overflow="fold"))
    line = Table.grid(*columns, padding=(0, 1))
    line.add_row(Text(verdict, _VERDICTS[verdict]), Text(name), Text(text))
    console.print(line)

    if fix:
        console.print(Text(f"{'':{_VERDICT_WIDTH}} Fix: {fix}"), soft_wrap=True)
