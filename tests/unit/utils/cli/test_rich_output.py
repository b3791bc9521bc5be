"""Tables and bars, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from utils.cli.rich_output import Rows, progress, print_verdict

ESCAPE = "\x1b["


def terminal() -> Console:
    """Return a terminal of 60 columns that keeps what it is shown."""
    return Console(file=io.StringIO(), force_terminal=True, width=60)


def shown(console: Console) -> str:
    """Return what it was shown."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_elsewhere_a_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Headings first, tabs between the cells, and none within."""
    rows = Rows(["a", "b"], Console(file=io.StringIO()))
    rows.add(["1", "x\ty\nz"])
    rows.add(["2", "[red]"])
    rows.end("nothing")
    assert capsys.readouterr() == ("a\tb\n1\tx y z\n2\t[red]\n", "")


def test_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Text is text: no markup in it is obeyed. What is too long is folded, but for the first cell, which is copied."""
    console = terminal()
    rows = Rows(["a", "b"], console)
    rows.add(["[red]no/colour/" + "a" * 25, "x" * 100])

    assert shown(console) == ""

    rows.end("nothing")

    assert "[red]no/colour/" + "a" * 25 in shown(console)
    assert shown(console).count("x") == 100
    assert capsys.readouterr() == ("", "")


def test_a_long_table_comes_page_by_page() -> None:
    """Memory holds one page."""
    console = terminal()
    rows = Rows(["number"], console)
    for number in range(250):
        rows.add([str(number)])

    assert "199" in shown(console)
    assert "200" not in shown(console)

    rows.end("nothing")

    assert "249" in shown(console)
    assert shown(console).count("number") == 3


@pytest.mark.parametrize("is_terminal", [True, False])
def test_no_rows_are_told_to_people(is_terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing goes to stdout."""
    rows = Rows(["a"], Console(file=io.StringIO(), force_terminal=is_terminal))
    rows.end("nothing")
    assert capsys.readouterr() == ("", "nothing\n")


def test_a_bar_moves_on_a_terminal_only() -> None:
    """Elsewhere there is none."""
    console, pipe = terminal(), Console(file=io.StringIO())
    for each in (console, pipe):
        with progress("letters", 4, each) as move:
            move(3)
    assert "3/4" in shown(console)
    assert shown(pipe) == ""


def test_a_verdict_has_columns_and_a_fix_in_one_piece() -> None:
    """Text is broken within its column, also where it has no blanks; what is to be copied is not."""
    console = Console(file=io.StringIO(), width=50, force_terminal=True, color_system=None)
    print_verdict(console, "warn", "Kafka topics", f"in: odd [bold]. {'x' * 30}", f"kafka-configs.sh {'y' * 60}")
    lines = [line.rstrip() for line in shown(console).splitlines()]

    assert lines == [
        "warn Kafka topics         in: odd [bold].",
        f"{'':26}{'x' * 24}",
        f"{'':26}{'x' * 6}",
        f"     Fix: kafka-configs.sh {'y' * 60}",
    ]
