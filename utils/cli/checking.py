"""The command ``signin-worker check``: checks the settings, then each dependency, and prints what it finds."""

import json
import os
import sys
from collections.abc import Sequence

import typer
from rich.console import Console

from utils.checks.finding import Finding, Probe
from utils.checks.probes import probes, settings_findings
from utils.cli.rich_output import print_verdict
from utils.cli.terminal import Json, run_command
from utils.logs import configure_logging
from utils.settings.loading import SettingsError
from utils.settings.tracing import load_tracing
from utils.wiring import Wire


def check(context: typer.Context, as_json: Json = False) -> None:
    """Check the settings, then each dependency: one line each, with a fix for what is wrong.

    Temporal's client is set up by Temporal's own variables: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY,
    TEMPORAL_TLS_*, TEMPORAL_PROFILE.
    """
    wire: Wire = context.obj
    try:
        wiring = wire()
    except SettingsError as error:
        findings = [Finding("settings", False, problem) for problem in error.problems]
        print_findings(findings, as_json=as_json)
        raise typer.Exit(os.EX_CONFIG) from None

    configure_logging(format=wiring.settings.log.format, level="critical", stream=sys.stderr)
    known = [*settings_findings(wiring.settings, wiring.warnings), *_tracing_findings()]
    raise typer.Exit(run_command(run_probes(probes(wiring), as_json=as_json, known=known)))


def _tracing_findings() -> list[Finding]:
    """Report variables that OpenTelemetry cannot use: ``run`` does not start with them."""
    try:
        tracing = load_tracing(os.environ)
    except SettingsError as error:
        return [Finding("settings", False, problem, exit_code=os.EX_CONFIG) for problem in error.problems]

    if tracing is not None:
        tracing.close()
    return []


async def run_probes(probes: Sequence[Probe], *, as_json: bool, known: Sequence[Finding] = ()) -> int:
    """Run one probe after the other, print each one's findings at once, and return the exit code.

    JSON is printed as one object at the end. A wrong setting (78) outweighs an unavailable dependency (69).
    """
    findings: list[Finding] = []

    def report(found: Sequence[Finding]) -> None:
        findings.extend(found)
        if not as_json:
            print_findings(found)

    report(known)
    for probe in probes:
        report(await probe())

    if as_json:
        print_findings(findings, as_json=True)
    return max((finding.exit_code for finding in findings if not finding.ok), default=os.EX_OK)


def print_findings(findings: Sequence[Finding], *, as_json: bool = False) -> None:
    """Print findings: a line each, in columns on a terminal, or one JSON object."""
    console = Console()

    if as_json:
        entries = [finding.entry() for finding in findings]
        all_ok = all(finding.ok for finding in findings)
        typer.echo(json.dumps({"ok": all_ok, "findings": entries}))
    elif console.is_terminal:
        for finding in findings:
            print_verdict(console, finding.verdict, finding.name, finding.text, finding.fix)
    else:
        for finding in findings:
            typer.echo(finding.line())
