"""Each alert uses exported metrics, has tests and a section in the runbook, and satisfies promtool."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.local.places import PROJECT
from tests.dashboards.exported import metrics_in, unknown_labels, unknown_metrics

_FOLDER: Final = PROJECT / "deploy" / "prometheus"
_RUNBOOK: Final = PROJECT / "docs" / "runbook.md"


def _rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((_FOLDER / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=_FOLDER, capture_output=True, text=True, timeout=60)


def test_promtool_accepts_the_rules(promtool: str) -> None:
    """Every expression and template is valid."""
    done = _run(promtool, "check", "rules", "--lint-fatal", "alerts.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(promtool: str) -> None:
    """The tests of the rules pass."""
    done = _run(promtool, "test", "rules", "alerts.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_limit_is_noticed(promtool: str, tmp_path: Path) -> None:
    """With a limit ten times higher, the test of a late event fails."""
    rules = (_FOLDER / "alerts.yml").read_text()
    (tmp_path / "alerts.yml").write_text(rules.replace("age_seconds) > 30\n", "age_seconds) > 300\n"))
    tests = yaml.safe_load((_FOLDER / "alerts.test.yml").read_text())
    tests["tests"] = [test for test in tests["tests"] if test["name"].startswith("SigninLate: ")]
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))

    done = _run(promtool, "test", "rules", tmp_path / "tests.yml")

    assert done.returncode != 0
    assert "SigninLate: One partition is 40 s behind." in done.stdout + done.stderr


@pytest.mark.parametrize("fires", [True, False])
def test_each_alert_is_tested_firing_and_silent(fires: bool) -> None:
    """Each alert has a test in which it fires and one in which it does not, named after the alert."""
    tests = yaml.safe_load((_FOLDER / "alerts.test.yml").read_text())["tests"]
    tested = set()

    for test in tests:
        for check in test["alert_rule_test"]:
            assert test["name"].startswith(f"{check['alertname']}: ")
            if bool(check["exp_alerts"]) is fires:
                tested.add(check["alertname"])

    assert tested == {rule["alert"] for rule in _rules()}


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_uses_exported_metrics(rule: dict[str, Any]) -> None:
    """The worker or Temporal's SDK exports each metric that an alert uses."""
    assert metrics_in(rule["expr"])
    assert unknown_metrics(rule["expr"]) == set()


def test_each_alert_uses_existing_labels() -> None:
    """Types, reasons, outcomes and topics in the rules are label values that the worker uses."""
    assert unknown_labels(rule["expr"] for rule in _rules()) == set()


def test_a_misspelt_metric_or_label_is_noticed() -> None:
    """A metric or label value that does not exist, with which an alert would never fire, is found."""
    assert unknown_metrics("sum(rate(signin_mail_total[5m])) > 0") == {"signin_mail_total"}
    assert unknown_metrics("temporal_workflow_task_execution_broken_total > 0")
    wrong = 'signin_mails_total{outcome="lost"} or signin_activity_seconds_count{activity="send_mail_activity"}'
    assert {value for _, _, value in unknown_labels([wrong])} == {"lost", "send_mail_activity"}


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_links_to_its_section_in_the_runbook(rule: dict[str, Any]) -> None:
    """The section explains the alert, what people notice, where to look and what to do."""
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (PROJECT / path, anchor) == (_RUNBOOK, rule["alert"].lower())

    section = _RUNBOOK.read_text().partition(f"\n### {rule['alert']}\n")[2].partition("\n### ")[0].partition("\n## ")[0]

    assert {"meaning", "people notice", "look at", "do"} <= {
        word.lower() for word in re.findall(r"\*\*([^*]+)\*\*", section)
    }


def test_the_runbook_has_no_section_without_an_alert() -> None:
    """Each alert section of the runbook belongs to an alert."""
    headings = re.findall(r"^### (\w+)$", _RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in _rules())


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_has_a_severity_and_a_summary(rule: dict[str, Any]) -> None:
    """The severity is page or ticket; the summary is a sentence without values."""
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")
    assert "{{" not in rule["annotations"]["summary"]
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
