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

_WIDTH_OF_FILES: Final = 160


def main() -> int:
    """Return 0 if every bound holds, 1 if one does not, 69 if the servers could not be started."""
    parser = argparse.ArgumentParser(prog="make redteam ARGS=…", description="The abuse list, tried for real.")
    parser.add_argument("--attack", action="append", choices=NAMES, metavar="NAME", help=f"only: {', '.join(NAMES)}")
    parser.add_argument("--short", action="store_true", help="the scale of make test")
    parser.add_argument("--no-report", action="store_true", help="leave docs/redteam.md as it is")
    options = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # what attacks make our own parts say is no result
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES

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
            if report:  # one by one: an interrupted run keeps what it has shown
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
            table.add_row(finding.name, "–", "–", "it could not be tried", "–", "[red]NO[/]")

    return table


if __name__ == "__main__":
    sys.exit(main())
