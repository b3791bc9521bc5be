"""Rich: tables and a progress bar on a terminal; elsewhere lines that other programs read."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

_ROWS_OF_A_PAGE: Final = 100
_VERDICTS: Final = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}
_VERDICT_WIDTH: Final = 4
_NAME_WIDTH: Final = 20


class Rows:
    """A table that need not fit into memory: on a terminal a page at a time, elsewhere a line per row, with tabs.

    The first column stays in one piece, to be copied into the next command.
    """

    def __init__(self, headings: Sequence[str], console: Console | None = None) -> None:
        self._headings = headings
        self._console = console or Console()
        self._page: list[Sequence[str]] = []
        self._is_new = True

    def add(self, cells: Sequence[str]) -> None:
        """Show a row, at once or with its page."""
        cells = [" ".join(cell.split()) for cell in cells]
        if not self._console.is_terminal:
            if self._is_new:
                typer.echo("\t".join(self._headings))
            typer.echo("\t".join(cells))
        else:
            self._page.append(cells)
            if len(self._page) == _ROWS_OF_A_PAGE:
                self._turn()
        self._is_new = False

    def end(self, nothing: str) -> None:
        """Show what is left, or, to people, that there was ``nothing``."""
        if self._page:
            self._turn()
        if self._is_new:
            typer.echo(nothing, err=True)

    def _turn(self) -> None:
        table = Table(Column(self._headings[0], no_wrap=True), *self._headings[1:])
        for cells in self._page:
            table.add_row(*(Text(cell, overflow="fold") for cell in cells))
        self._console.print(table)
        self._page.clear()


@contextlib.contextmanager
def progress(what: str, total: int, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr, if that is a terminal, and yield what moves it on."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda steps: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # What a command prints goes through the bar where both are on the terminal; never into it from a pipe.
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)


def print_verdict(console: Console, verdict: str, name: str, text: str, fix: str | None) -> None:
    """Show how one thing stands, in columns. A fix stays in one piece, to be copied, however wide it is."""
    line = Table.grid(Column(width=_VERDICT_WIDTH), Column(width=_NAME_WIDTH), Column(overflow="fold"), padding=(0, 1))
    line.add_row(Text(verdict, _VERDICTS[verdict]), Text(name), Text(text))
    console.print(line)
    if fix:
        console.print(Text(f"{'':{_VERDICT_WIDTH}} Fix: {fix}"), soft_wrap=True)
