"""The alerts ask for what the worker exports, each has its tests and its paragraph, and promtool agrees."""

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


def test_the_rules_are_prometheus_rules(promtool: str) -> None:
    """Every expression and template is one."""
    done = _run(promtool, "check", "rules", "--lint-fatal", "alerts.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(promtool: str) -> None:
    """The stories beside the rules end as they say."""
    done = _run(promtool, "test", "rules", "alerts.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_story_that_ends_otherwise_is_noticed(promtool: str, tmp_path: Path) -> None:
    """With a limit ten times higher the story of a late event fails: stories look at the rules that are beside them."""
    rules = (_FOLDER / "alerts.yml").read_text()
    (tmp_path / "alerts.yml").write_text(rules.replace("age_seconds) > 30\n", "age_seconds) > 300\n"))
    stories = yaml.safe_load((_FOLDER / "alerts.test.yml").read_text())
    stories["tests"] = [story for story in stories["tests"] if story["name"].startswith("SigninLate: ")]
    (tmp_path / "stories.yml").write_text(yaml.safe_dump(stories))
    done = _run(promtool, "test", "rules", tmp_path / "stories.yml")

    assert done.returncode != 0
    assert "SigninLate: One partition is 40 s behind." in done.stdout + done.stderr


@pytest.mark.parametrize("fires", [True, False])
def test_each_alert_has_a_story_in_which_it_fires_and_one_in_which_it_does_not(fires: bool) -> None:
    """No alert is untested, and each story's name begins with its alert's."""
    stories = yaml.safe_load((_FOLDER / "alerts.test.yml").read_text())["tests"]
    told = set()
    for story in stories:
        for moment in story["alert_rule_test"]:
            assert story["name"].startswith(f"{moment['alertname']}: ")
            if bool(moment["exp_alerts"]) is fires:
                told.add(moment["alertname"])

    assert told == {rule["alert"] for rule in _rules()}


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_asks_for_what_is_exported(rule: dict[str, Any]) -> None:
    """The worker has each metric under that name; those of Temporal's SDK are in the SDK."""
    assert metrics_in(rule["expr"])
    assert unknown_metrics(rule["expr"]) == set()


def test_each_label_that_is_asked_for_is_one() -> None:
    """Types, reasons, outcomes and topics in the rules are those that the worker counts: no other would ever fire."""
    assert unknown_labels(rule["expr"] for rule in _rules()) == set()


def test_a_misspelt_metric_or_label_is_noticed() -> None:
    """Each of these would be an alert that never fires."""
    assert unknown_metrics("sum(rate(signin_mail_total[5m])) > 0") == {"signin_mail_total"}
    assert unknown_metrics("temporal_workflow_task_execution_broken_total > 0")
    wrong = 'signin_mails_total{outcome="lost"} or signin_activity_seconds_count{activity="send_mail_activity"}'
    assert {value for _, _, value in unknown_labels([wrong])} == {"lost", "send_mail_activity"}


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_leads_to_its_paragraph(rule: dict[str, Any]) -> None:
    """The section says what the alert means, what people notice, where to look and what to do."""
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (PROJECT / path, anchor) == (_RUNBOOK, rule["alert"].lower())

    paragraph = (
        _RUNBOOK.read_text().partition(f"\n### {rule['alert']}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    )

    assert {"meaning", "people notice", "look at", "do"} <= {
        word.lower() for word in re.findall(r"\*\*([^*]+)\*\*", paragraph)
    }


def test_the_runbook_has_no_paragraph_without_an_alert() -> None:
    """An alert that is gone takes its paragraph with it."""
    headings = re.findall(r"^### (\w+)$", _RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(rule["alert"] for rule in _rules())


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_says_who_is_to_look_and_what_it_is(rule: dict[str, Any]) -> None:
    """Severity decides whether somebody is woken; the summary is a sentence that holds at any value."""
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")
    assert "{{" not in rule["annotations"]["summary"]
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
