"""The alerts ask for what the worker exports, each has its tests and its paragraph, and promtool agrees."""

import functools
import inspect
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import temporalio.bridge
import yaml

import activities
from consumers.ports import utc_now
from deploy.local.places import PROJECT
from tests.fakes.mailer import FakeMailer
from tests.fakes.publisher import FakePublisher
from utils import prometheus
from utils.prometheus import ConsumerCounts, MeasuredMailer, MeasuredPublisher, Metrics

_FOLDER: Final = PROJECT / "deploy" / "prometheus"
_RUNBOOK: Final = PROJECT / "docs" / "runbook.md"
_PROMETHEUS_OWN: Final = {"up"}
_NAME: Final = re.compile(r"\b(?:signin|temporal|process)_[a-z_]+|\bup\b")
_SAMPLES: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def _rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((_FOLDER / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def _exported() -> set[str]:
    """Return the names of all samples that a worker can show, the SDK's aside."""
    families = [*Metrics().registry.collect()]
    return {family.name + suffix for family in families for suffix in _SAMPLES.get(family.type, ("",))}


@functools.cache
def _sdk() -> bytes:
    (library,) = Path(temporalio.bridge.__file__).parent.glob("*temporal_sdk_bridge*")
    return library.read_bytes()


def _steps() -> str:
    """Return the sources of all activities, from wherever they are installed."""
    (folder,) = activities.__path__
    return "".join(path.read_text() for path in Path(folder).glob("*.py"))


def _asked(expression: str) -> set[tuple[str, str, str]]:
    """Return each label that is compared: its metric, its name, and every value that it may have."""
    asked = set()
    for name, matchers in re.findall(r"(signin_\w+)\{([^}]*)\}", expression):
        for label, values in re.findall(r'(\w+)[=!~]+"([^"]*)"', matchers):
            asked |= {(name, label, value) for value in _alternatives(values.replace("\\\\.", "."))}
    return asked


def _alternatives(pattern: str) -> set[str]:
    """Return what a pattern such as ``a.(b|c)`` stands for, without what need not be there."""
    pattern = re.sub(r"\([^)]*\)\?", "", pattern)
    before, _, rest = pattern.partition("(")
    inside, _, after = rest.partition(")")
    return {before + each + after for each in inside.split("|")} if rest else set(pattern.split("|"))


def _counted() -> set[tuple[str, str, str]]:
    """Return each label that a worker shows from the start: its metric, its name, its value."""
    metrics = Metrics()
    ConsumerCounts(metrics, ("signin.requested", "otp.submitted"))
    MeasuredMailer(FakeMailer(), metrics, utc_now)
    MeasuredPublisher(FakePublisher(), metrics, utc_now)
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return {(sample.name, label, value) for sample in samples for label, value in sample.labels.items()}


@pytest.fixture(scope="module")
def promtool() -> str:
    """Give promtool, where Prometheus is installed."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip(
            "promtool is not installed (Debian and Ubuntu: apt-get install prometheus); the job alerts of ci has it"
        )
    return found


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
    bare = re.sub(r'"[^"]*"', "", rule["expr"])
    asked = set(_NAME.findall(bare))
    assert asked
    own = {name for name in asked if not name.startswith("temporal_")}
    assert own <= _exported() | _PROMETHEUS_OWN
    for name in asked - own:
        assert name.removeprefix("temporal_").removesuffix("_total").encode() in _sdk()


def test_each_label_that_is_asked_for_is_one() -> None:
    """Types, reasons, outcomes and topics in the rules are those that the worker counts: no other would ever fire."""
    asked = {each for rule in _rules() for each in _asked(rule["expr"]) if each[1] != "job"}
    of_steps = {each for each in asked if each[0].startswith("signin_activity_seconds")}
    assert len(asked) > 15
    assert asked - of_steps <= _counted()
    measured, steps = inspect.getsource(prometheus), _steps()
    for _, label, value in of_steps:
        assert f'return "{value}"' in measured if label == "outcome" else f"def {value}(" in steps


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_leads_to_its_paragraph(rule: dict[str, Any]) -> None:
    """Whoever is woken finds what it means, what people feel, where to look and what to do."""
    path, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (PROJECT / path, anchor) == (_RUNBOOK, rule["alert"].lower())
    paragraph = (
        _RUNBOOK.read_text().partition(f"\n### {rule['alert']}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    )
    assert {"means", "people feel", "look at", "do"} <= {
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
