"""Each alert uses exported metrics, has tests and a section in the runbook, and satisfies promtool."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.local.places import PROJECT
from deploy.prometheus import slo_rules
from deploy.prometheus.objectives import OBJECTIVES
from deploy.prometheus.runbook import documentation_url, readdress
from tests.dashboards.exported import metrics_in, unknown_labels, unknown_metrics
from utils.prometheus import Metrics

_FOLDER: Final = PROJECT / "deploy" / "prometheus"
_RUNBOOK: Final = PROJECT / "docs" / "runbook.md"


_FILES: Final = ("alerts", "slo")
_WITHIN_S: Final = 300
_ON_A_BUSY_MACHINE: Final = pytest.mark.timeout(_WITHIN_S + 10)


def _groups(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load((_FOLDER / f"{file}.yml").read_text())["groups"])


def _rules(*files: str) -> list[dict[str, Any]]:
    """Return the alerting rules of all files, or of these."""
    groups = [group for file in files or _FILES for group in _groups(file)]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def _named(rule: dict[str, Any]) -> str:
    return f"{rule['alert']}-{rule['labels']['severity']}"


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=_FOLDER, capture_output=True, text=True, timeout=_WITHIN_S)


@_ON_A_BUSY_MACHINE
@pytest.mark.parametrize("file", _FILES)
def test_promtool_accepts_the_rules(promtool: str, file: str) -> None:
    """Every expression and template is valid."""
    done = _run(promtool, "check", "rules", "--lint-fatal", f"{file}.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@_ON_A_BUSY_MACHINE
@pytest.mark.parametrize("file", _FILES)
def test_alerts_fire_when_they_should_and_only_then(promtool: str, file: str) -> None:
    """The tests of the rules pass."""
    done = _run(promtool, "test", "rules", f"{file}.test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@_ON_A_BUSY_MACHINE
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


@_ON_A_BUSY_MACHINE
@pytest.mark.parametrize(
    ("correct", "wrong", "story"),
    [
        ("> 14.4 * ", "> 144 * ", "SigninMailBudget: After six good hours"),
        ("ratio_rate5m{", "ratio_rate1h{", "SigninMailBudget: Mails are late for 20 minutes"),
        (" > 5)", " > 0)", "SigninMailBudget: At night"),
        ("> 1 * ", "> 3 * ", "SigninMailBudget: Four mails in 500"),
    ],
)
def test_a_wrong_burn_rate_is_noticed(promtool: str, tmp_path: Path, correct: str, wrong: str, story: str) -> None:
    """Each part of a burn-rate alert has a story that fails without it: rate, short window, number of events."""
    rules = (_FOLDER / "slo.yml").read_text()
    assert correct in rules
    (tmp_path / "slo.yml").write_text(rules.replace(correct, wrong))
    tests = yaml.safe_load((_FOLDER / "slo.test.yml").read_text())
    tests["tests"] = [test for test in tests["tests"] if test["name"].startswith(story)]
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))

    done = _run(promtool, "test", "rules", tmp_path / "tests.yml")

    assert done.returncode != 0
    assert story in done.stdout + done.stderr


def test_the_objectives_are_written_from_the_code() -> None:
    """``python -m deploy.prometheus`` was run after the last change of the code."""
    assert slo_rules.FILE.read_text() == slo_rules.rendered()


def test_an_objective_is_one_of_the_histograms_buckets() -> None:
    """Without a bucket at the limit, the share of good events could not be read."""
    shown = {
        (sample.name, sample.labels.get("le")) for family in Metrics().registry.collect() for sample in family.samples
    }

    for objective in OBJECTIVES:
        [good] = objective.good
        name, limit = re.findall(r'(\w+)\{.*le="([^"]+)"', good)[0]
        assert (name, limit) in shown


def test_a_burn_consumes_what_its_alert_says() -> None:
    """A rate kept up for the long window uses this part of a budget of 30 days: the Workbook's table."""
    hours = {"1h": 1, "6h": 6, "1d": 24, "3d": 72}

    for burn in slo_rules.BURNS:
        consumed = burn.rate * hours[burn.long] / (30 * 24)
        assert f"{consumed:.0%}" == burn.consumed


@pytest.mark.parametrize("fires", [True, False])
def test_each_alert_is_tested_firing_and_silent(fires: bool) -> None:
    """Each alert has a test in which it fires and one in which it does not, named after the alert."""
    tests = [test for file in _FILES for test in yaml.safe_load((_FOLDER / f"{file}.test.yml").read_text())["tests"]]
    tested = set()

    for test in tests:
        for check in test["alert_rule_test"]:
            assert test["name"].startswith(f"{check['alertname']}: ")
            if bool(check["exp_alerts"]) is fires:
                tested.add(check["alertname"])

    assert tested == {rule["alert"] for rule in _rules()}


@pytest.mark.parametrize("rule", _rules(), ids=_named)
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


@pytest.mark.parametrize("rule", _rules(), ids=_named)
def test_each_alert_links_to_its_section_in_the_runbook(rule: dict[str, Any]) -> None:
    """The section explains the alert, what people notice, where to look and what to do."""
    assert rule["annotations"]["runbook_url"] == f"{documentation_url()}runbook/#{rule['alert'].lower()}"

    section = _RUNBOOK.read_text().partition(f"\n### {rule['alert']}\n")[2].partition("\n### ")[0].partition("\n## ")[0]

    assert {"meaning", "people notice", "look at", "do"} <= {
        word.lower() for word in re.findall(r"\*\*([^*]+)\*\*", section)
    }


def test_the_addresses_follow_the_project(tmp_path: Path) -> None:
    """Whoever publishes the documents elsewhere changes ``[project.urls]`` and runs ``python -m deploy.prometheus``."""
    file = tmp_path / "rules.yml"
    file.write_text(
        'runbook_url: https://old.example/runbook/#signinlate\nrunbook_url: "https://o.example/runbook/#a"\n'
    )
    readdress(file)

    base = documentation_url()
    assert base.startswith("https://") and base.endswith("/")
    assert file.read_text() == f'runbook_url: {base}runbook/#signinlate\nrunbook_url: "{base}runbook/#a"\n'


def test_the_runbook_has_no_section_without_an_alert() -> None:
    """Each alert section of the runbook belongs to an alert."""
    headings = re.findall(r"^### (\w+)$", _RUNBOOK.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted({rule["alert"] for rule in _rules()})


@pytest.mark.parametrize("rule", _rules(), ids=_named)
def test_each_alert_has_a_severity_and_a_summary(rule: dict[str, Any]) -> None:
    """The severity is page or ticket; the summary is a sentence without values."""
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")
    assert "{{" not in rule["annotations"]["summary"]
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
