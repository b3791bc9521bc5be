"""Tables and progress bars, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from utils.cli.rich_output import Rows, print_verdict, progress

ESCAPE = "\x1b["


def terminal() -> Console:
    """Return a terminal of 60 columns that records what is printed."""
    return Console(file=io.StringIO(), force_terminal=True, width=60)


def shown(console: Console) -> str:
    """Return what was printed."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_rows_are_tab_separated_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The headings come first. Blanks within a cell are folded, so that no cell holds a tab."""
    rows = Rows(["a", "b"], Console(file=io.StringIO()))
    rows.add(["1", "x\ty\nz"])
    rows.add(["2", "[red]"])
    rows.end("nothing")
    assert capsys.readouterr() == ("a\tb\n1\tx y z\n2\t[red]\n", "")


def test_rows_are_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Markup is printed as it stands. Long cells are folded, except the first, which is meant to be copied."""
    console = terminal()
    rows = Rows(["a", "b"], console)
    rows.add(["[red]no/colour/" + "a" * 25, "x" * 100])

    assert shown(console) == ""

    rows.end("nothing")

    assert "[red]no/colour/" + "a" * 25 in shown(console)
    assert shown(console).count("x") == 100
    assert capsys.readouterr() == ("", "")


def test_a_long_table_is_printed_page_by_page() -> None:
    """Each page has the headings, and only one is held in memory."""
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
def test_an_empty_table_says_so_on_stderr(is_terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed on stdout, so programs read no rows."""
    rows = Rows(["a"], Console(file=io.StringIO(), force_terminal=is_terminal))
    rows.end("nothing")
    assert capsys.readouterr() == ("", "nothing\n")


def test_a_progress_bar_is_shown_only_on_a_terminal() -> None:
    """Without a terminal nothing is printed."""
    console = terminal()
    pipe = Console(file=io.StringIO())
    for each in (console, pipe):
        with progress("letters", 4, each) as move:
            move(3)

    assert "3/4" in shown(console)
    assert shown(pipe) == ""


def test_a_finding_has_columns_and_an_unwrapped_fix() -> None:
    """Text is folded within its column, even without blanks. A fix is not, since it is copied."""
    console = Console(file=io.StringIO(), width=50, force_terminal=True, color_system=None)
    print_verdict(console, "warn", "Kafka topics", f"in: odd [bold]. {'x' * 30}", f"kafka-configs.sh {'y' * 60}")
    lines = [line.rstrip() for line in shown(console).splitlines()]

    assert lines == [
        "warn Kafka topics         in: odd [bold].",
        f"{'':26}{'x' * 24}",
        f"{'':26}{'x' * 6}",
        f"     Fix: kafka-configs.sh {'y' * 60}",
    ]
