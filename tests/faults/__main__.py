"""Run the fault programme: ``python -m tests.faults [--case NAME] [--short] [--no-report]``; ``make faults`` does."""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from rich.console import Console
from rich.table import Table

from deploy.local.places import StackError
from tests.faults.case import MAX_SHOWN, Case, Finding, run
from tests.faults.programme import CASES, CLUSTER_CASES, FULL, SHORT, case_named
from tests.faults.report import DOCUMENT, write
from tests.faults.servers import running_servers
from tests.faults.stage import Scale

_WIDTH_WITHOUT_TERMINAL: Final = 160


def main() -> int:
    """Return 0 if every case holds, 1 if one does not, 69 if the servers do not start."""
    parser = argparse.ArgumentParser(prog="make faults ARGS=…", description="Inject faults while people sign in.")
    names = [case.name for case in (*CASES, *CLUSTER_CASES)]
    parser.add_argument(
        "--case",
        action="append",
        choices=names,
        metavar="NAME",
        help=f"only this one, of: {', '.join(names)}",
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="on Temporal as it runs in production, which is built the first time; "
        "without --case, its own cases alone. Cases that do not need it are not reported.",
    )
    parser.add_argument("--short", action="store_true", help="use the small scale of make test")
    parser.add_argument("--outage-s", type=float, help="length of a server outage, in seconds")
    parser.add_argument("--kills", type=int, help="number of kill -9")
    parser.add_argument("--no-report", action="store_true", help="do not write docs/faults.md")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the tests' own clients: brokers go away on purpose
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL

    scale = SHORT if options.short else FULL
    scale = replace(scale, outage_s=options.outage_s or scale.outage_s, kills=options.kills or scale.kills)
    cases = [case_named(name) for name in options.case] if options.case else CLUSTER_CASES if options.cluster else CASES
    report = not options.no_report

    try:
        findings = asyncio.run(_programme(console, cases, scale, on_cluster=options.cluster, report=report))
    except StackError as error:
        console.print(str(error), style="red", markup=False)
        return 69

    console.print(_table(findings))
    if report:
        console.print(f"written: {DOCUMENT}")

    return 0 if all(finding.holds for finding in findings) else 1


async def _programme(
    console: Console, cases: Sequence[Case], scale: Scale, *, on_cluster: bool, report: bool
) -> list[Finding]:
    findings = list[Finding]()
    begun = time.monotonic()

    def stack(case: Case) -> tuple[bool, int]:
        return on_cluster or case.on_cluster, case.brokers

    for (as_in_production, brokers), group in groupby(sorted(cases, key=stack), key=stack):
        async with running_servers(brokers, on_cluster=as_in_production) as servers:
            for case in group:
                at = f"{time.monotonic() - begun:6.0f} s  {len(findings) + 1}/{len(cases)}"
                console.print(f"{at} {case.name}: {case.injected} …")
                finding = await run(case, servers, scale)
                _print_finding(console, finding)

                is_reported = report and case.on_cluster == as_in_production
                if is_reported:  # after each case, so that an interrupted run keeps its findings
                    write([finding], "short" if scale == SHORT else "full")

                findings.append(finding)

    return findings


def _print_finding(console: Console, finding: Finding) -> None:
    audit = finding.audit
    mark = "[green]holds[/]" if finding.holds else "[red]BROKEN[/]"
    recovery = "" if finding.recovery_s is None else f", recovered in {finding.recovery_s:.1f} s"

    console.print(
        f"          {mark} after {finding.took_s:.0f} s: {finding.seen or '?'}; {finding.people} people, "
        f"{dict(audit.outcomes)}, {audit.second_mails} second mails, {audit.repeated_results} repeated results, "
        f"{audit.redelivered_signals} repeated signals{recovery}, peak {finding.peak_rss_mb} MB"
    )
    for text in finding.all_problems[:MAX_SHOWN]:
        console.print(f"          {text}", style="red", markup=False)


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(title="Faults")
    for heading in ("case", "observed", "recovery", "peak memory", "holds"):
        table.add_column(heading)
    for one in findings:
        recovery = "–" if one.recovery_s is None else f"{one.recovery_s:.1f} s"
        table.add_row(one.name, one.seen, recovery, f"{one.peak_rss_mb} MB", "yes" if one.holds else "NO")
    return table


if __name__ == "__main__":
    sys.exit(main())
