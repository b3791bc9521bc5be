"""The command ``signin-worker check``."""

import json

import pytest

from utils.checks.finding import Finding
from utils.cli.checking import run_probes

GOOD = Finding("SMTP", True, "takes mail")
BAD = Finding("Kafka", False, "no answer", fix="start it.")


async def good() -> list[Finding]:
    """Find nothing wrong."""
    return [GOOD]


async def bad() -> list[Finding]:
    """Find something wrong."""
    return [BAD]


async def test_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """For people: one line per thing, with the fix."""
    assert await run_probes([bad, good], as_json=False) == 69
    assert capsys.readouterr().out == "FAIL Kafka: no answer Fix: start it.\nok   SMTP: takes mail\n"


async def test_one_object_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs: one object with the verdict, and what was known before."""
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
def test_the_verdict(finding: Finding, verdict: str) -> None:
    """What works but has something to be done about it is a warning."""
    assert finding.verdict == verdict
    assert finding.line().startswith(f"{verdict:4} ")
    assert finding.entry()["verdict"] == verdict.lower()


async def test_a_setting_to_correct_counts_more_than_an_absence() -> None:
    """Waiting helps with what is away; a setting stays wrong."""

    async def wrong() -> list[Finding]:
        return [Finding("Temporal", False, "forgets too early", "lower the one.", 78)]

    assert await run_probes([wrong, bad, good], as_json=False) == 78
