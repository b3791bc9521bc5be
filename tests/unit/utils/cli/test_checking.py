"""The command ``signin-worker check``."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.outside import outside_settings
from deploy.local.servers.siteverify import SECRET, SiteverifyServer
from utils.checks.finding import Finding
from utils.cli.checking import run_probes

Run = Callable[..., tuple[int, str, str]]
GOOD = Finding("SMTP", True, "takes mail")
BAD = Finding("Kafka", False, "no answer", fix="start it.")


async def good() -> list[Finding]:
    """Find nothing wrong."""
    return [GOOD]


async def bad() -> list[Finding]:
    """Find something wrong."""
    return [BAD]


async def test_each_finding_is_a_line_with_its_fix(capsys: pytest.CaptureFixture[str]) -> None:
    """For people, every finding is one line, and a bad one ends with what to do."""
    assert await run_probes([bad, good], as_json=False) == 69
    assert capsys.readouterr().out == "FAIL Kafka: no answer Fix: start it.\nok   SMTP: takes mail\n"


async def test_findings_are_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs, all findings are one object, those known before the probes included."""
    assert await run_probes([good], as_json=True, known=[Finding("settings", True, "read")]) == 0
    report = json.loads(capsys.readouterr().out)

    assert report["ok"] is True
    assert [each["name"] for each in report["findings"]] == ["settings", "SMTP"]
    assert list(report["findings"][0]) == ["name", "ok", "text", "fix", "verdict"]


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (GOOD, "ok"),
        (BAD, "FAIL"),
        (Finding("SMTP", True, "takes mail", "use TLS."), "warn"),
        (Finding("settings", True, "is odd", warns=True), "warn"),
        (Finding("settings", False, "is wrong", warns=True), "FAIL"),
    ],
)
def test_a_finding_that_works_but_has_a_fix_is_a_warning(finding: Finding, verdict: str) -> None:
    """The verdict is the same on the line for people and in JSON."""
    assert finding.verdict == verdict
    assert finding.line().startswith(f"{verdict:4} ")
    assert finding.entry()["verdict"] == verdict.lower()


async def test_a_wrong_setting_outweighs_an_unavailable_dependency() -> None:
    """The exit code is 78 if both are found: waiting helps only with the dependency."""

    async def wrong() -> list[Finding]:
        return [Finding("Temporal", False, "forgets too early", "lower the one.", 78)]

    assert await run_probes([wrong, bad, good], as_json=False) == 78


@pytest.mark.usefixtures("environ")
def test_check_reports_wrong_settings_as_lines_and_as_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with 78 before it asks any dependency."""
    monkeypatch.setenv("SIGNIN_SMTP__PORT", "x")
    code, output, _ = run("check")
    assert code == 78
    assert output.startswith("FAIL settings: SIGNIN_SMTP__PORT")

    code, output, _ = run("check", "--json")
    assert code == 78
    assert json.loads(output)["findings"][0]["ok"] is False


@pytest.mark.usefixtures("environ")
@pytest.mark.parametrize("command", [("check", "--json"), ("run",)])
def test_authorities_that_are_none_end_every_command_with_78(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: Sequence[str]
) -> None:
    """The variable is named, in a finding of ``check`` and on stderr of ``run``."""
    file = tmp_path / "authorities.pem"
    file.write_text("no certificate")
    monkeypatch.setenv("SIGNIN_SMTP__CAFILE", str(file))
    code, output, errors = run(*command)

    assert code == 78
    assert "SIGNIN_SMTP__CAFILE is not valid: names a file without a certificate" in output + errors


@pytest.mark.usefixtures("environ")
def test_check_names_every_dependency_that_is_away(run: Run) -> None:
    """Each dependency that does not answer has a finding with a fix, and the exit code is 69."""
    code, output, _ = run("check", "--json")
    report = json.loads(output)
    fixes = {finding["name"]: finding["fix"] for finding in report["findings"] if not finding["ok"]}

    assert (code, report["ok"]) == (69, False)
    assert list(fixes) == ["Kafka", "Temporal", "SMTP", "Turnstile", "DNS"]
    assert all(fixes.values())
    assert "code keys: c2, c1" in report["findings"][0]["text"]


@pytest.mark.usefixtures("environ")
def test_check_reports_what_opentelemetry_cannot_use_and_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """``run`` would end with 78, so ``check`` says so, beside what it finds of the dependencies."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    code, output, _ = run("check", "--json")
    failed = [finding for finding in json.loads(output)["findings"] if not finding["ok"]]

    assert code == 78
    assert [finding["name"] for finding in failed][:2] == ["settings", "Kafka"]
    assert failed[0]["text"].startswith("OTEL_* cannot be used")


def test_check_help_documents_every_setting(run: Run) -> None:
    """The help lists the settings, and Temporal's own variables."""
    code, output, _ = run("check", "--help")
    assert code == 0
    assert "SIGNIN_DEAD_LETTERS__BREAKER_PER_MINUTE" in output
    assert "TEMPORAL_ADDRESS" in output


async def test_check_ends_with_0_when_all_is_well(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    served: dict[str, str],
    mail_server: MailServer,
    siteverify: SiteverifyServer,
    dns_server: DnsServer,
) -> None:
    """With all dependencies there, and the topics created by the command, every line is ok."""
    topics = {name: f"t-{os.urandom(6).hex()}" for name in ("REQUESTED", "SUBMITTED", "RESULTS")}
    settings = {f"SIGNIN_KAFKA__{name}_TOPIC": topic for name, topic in topics.items()}
    settings |= {
        **outside_settings(mail_server, siteverify, dns_server),
        "SIGNIN_SMTP__SECURITY": "none",
        "SIGNIN_TURNSTILE__SECRET": SECRET,
    }
    for name, value in (served | settings).items():
        monkeypatch.setenv(name, value)

    assert (await asyncio.to_thread(run, "topics", "create"))[0] == 0

    code, output, _ = await asyncio.to_thread(run, "check")

    assert (code, "FAIL" in output) == (0, False)
    assert output.count("ok   ") >= 6
