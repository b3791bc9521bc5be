"""Run the red team: ``python -m tests.redteam [--attack NAME] [--short] [--no-report]``; ``make redteam`` does."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from deploy.local.places import StackError
from tests.faults.servers import running_servers
from tests.redteam.attack import Finding
from tests.redteam.programme import FULL, NAMES, SHORT, findings
from tests.redteam.report import DOCUMENT, number, write
from tests.redteam.scene import Size

_WIDTH_WITHOUT_TERMINAL: Final = 160


def main() -> int:
    """Return 0 if every bound holds, 1 if one does not, 69 if the servers do not start."""
    parser = argparse.ArgumentParser(prog="make redteam ARGS=…", description="Run the attacks of the abuse list.")
    parser.add_argument(
        "--attack",
        action="append",
        choices=NAMES,
        metavar="NAME",
        help=f"only this one, of: {', '.join(NAMES)}",
    )
    parser.add_argument("--short", action="store_true", help="use the small scale of make test")
    parser.add_argument("--no-report", action="store_true", help="do not write docs/redteam.md")
    options = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # attacks make the tests' own servers log errors
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL

    size = SHORT if options.short else FULL

    try:
        found = asyncio.run(_programme(console, size, options.attack or NAMES, report=not options.no_report))
    except StackError as error:
        console.print(str(error), style="red", markup=False)
        return 69

    console.print(_table(found))
    if not options.no_report:
        console.print(f"written: {DOCUMENT}")

    return 0 if all(finding.holds for finding in found) else 1


async def _programme(console: Console, size: Size, names: Sequence[str], *, report: bool) -> list[Finding]:
    found = []
    async with running_servers() as servers:
        async for finding in findings(servers, size, names):
            mark = "[green]holds[/]" if finding.holds else "[red]BROKEN[/]"
            console.print(f"{finding.name}: {mark} after {finding.took_s:.0f} s")
            for text in finding.problems:
                console.print(f"  {text}", style="red", markup=False)

            found.append(finding)
            if report:  # after each attack, so that an interrupted run keeps its findings
                write([finding], "short" if size == SHORT else "full")

    return found


def _table(found: Sequence[Finding]) -> Table:
    table = Table(title="Red team")
    for heading in ("attack", "tried", "tries", "got through", "at most", "holds"):
        table.add_column(heading, justify="right" if heading in {"tries", "at most"} else "left")

    for finding in found:
        for one in finding.counts:
            through = f"{number(one.through)} {one.what}"
            holds = "[green]yes[/]" if one.holds and not finding.problems else "[red]NO[/]"
            table.add_row(finding.name, one.tried, f"{one.tries:,}", through, number(one.at_most), holds)
        if not finding.counts:
            table.add_row(finding.name, "–", "–", "the attack failed to run", "–", "[red]NO[/]")

    return table


if __name__ == "__main__":
    sys.exit(main())
