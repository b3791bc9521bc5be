"""Run the fault programme: ``python -m tests.faults [--case NAME] [--short] [--no-report]``; ``make faults`` does."""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rich.console import Console
from rich.table import Table

from deploy.local.places import StackError
from tests.faults.case import MOST_SHOWN, Case, Finding, run
from tests.faults.programme import CASES, FULL, SHORT, named
from tests.faults.report import DOCUMENT, write
from tests.faults.servers import running_servers
from tests.faults.stage import Scale

_WIDTH_OF_FILES: Final = 160


def main() -> int:
    """Return 0 if every case holds, 1 if one does not, 69 if the servers could not be started."""
    parser = argparse.ArgumentParser(prog="make faults ARGS=…", description="Faults while people sign in.")
    names = [case.name for case in CASES]
    parser.add_argument("--case", action="append", choices=names, metavar="NAME", help=f"only: {', '.join(names)}")
    parser.add_argument("--short", action="store_true", help="the scale of make test")
    parser.add_argument("--outage-s", type=float, help="how long servers stay away")
    parser.add_argument("--kills", type=int, help="how many kill -9")
    parser.add_argument("--no-report", action="store_true", help="leave docs/faults.md as it is")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # of our own clients: brokers go away on purpose
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES

    scale = SHORT if options.short else FULL
    scale = replace(scale, outage_s=options.outage_s or scale.outage_s, kills=options.kills or scale.kills)
    cases = [named(name) for name in options.case or names]
    report = not options.no_report

    try:
        findings = asyncio.run(_programme(console, cases, scale, report=report))
    except StackError as error:
        console.print(str(error), style="red", markup=False)
        return 69

    console.print(_table(findings))
    if report:
        console.print(f"written: {DOCUMENT}")

    return 0 if all(finding.holds for finding in findings) else 1


async def _programme(console: Console, cases: Sequence[Case], scale: Scale, *, report: bool) -> list[Finding]:
    findings = []
    begun = time.monotonic()
    async with running_servers() as servers:
        for number, case in enumerate(cases, start=1):
            console.print(f"{time.monotonic() - begun:6.0f} s  {number}/{len(cases)} {case.name}: {case.injected} …")
            finding = await run(case, servers, scale)
            _tell(console, finding)

            if report:
                write(
                    [finding], "short" if scale == SHORT else "full"
                )  # one by one: an interrupted run keeps what it has shown

            findings.append(finding)

    return findings


def _tell(console: Console, finding: Finding) -> None:
    own = finding.account
    mark = "[green]holds[/]" if finding.holds else "[red]BROKEN[/]"
    recovery = "" if finding.recovery_s is None else f", recovered in {finding.recovery_s:.1f} s"
    console.print(
        f"          {mark} after {finding.took_s:.0f} s: {finding.seen or '?'}; {finding.people} people, "
        f"{dict(own.outcomes)}, {own.second_mails} second mails, {own.repeated_results} repeated results, "
        f"{own.redelivered_signals} signals twice{recovery}, peak {finding.peak_rss_mb} MB"
    )
    for text in (finding.trouble + own.broken)[:MOST_SHOWN]:
        console.print(f"          {text}", style="red", markup=False)


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(title="Faults")
    for heading in ("case", "seen", "recovery", "peak memory", "holds"):
        table.add_column(heading)
    for one in findings:
        recovery = "–" if one.recovery_s is None else f"{one.recovery_s:.1f} s"
        table.add_row(one.name, one.seen, recovery, f"{one.peak_rss_mb} MB", "yes" if one.holds else "NO")
    return table


if __name__ == "__main__":
    sys.exit(main())
