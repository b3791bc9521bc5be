"""What a worker exports: the names and labels that alerts and dashboards may ask for."""

import functools
import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import temporalio.bridge

import activities
from consumers.ports import utc_now
from deploy.prometheus.objectives import BUDGET_LEFT, ERRORS, OBJECTIVE
from deploy.prometheus.slo_rules import WINDOWS
from schemas.topics import REQUESTED_TOPIC, SUBMITTED_TOPIC
from tests.fakes.mailer import FakeMailer
from tests.fakes.publisher import FakePublisher
from utils import prometheus
from utils.prometheus import PrometheusConsumerMetrics, MeasuredMailer, MeasuredPublisher, Metrics

_OF_PROMETHEUS: Final = {"up", "ALERTS"}
_NAME: Final = re.compile(r"\bsignin:[a-z_]+:[a-z0-9_]+|\b(?:signin|temporal|process)_[a-z_]+|\bup\b|\bALERTS\b")
_SAMPLES: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
_SDK_SUFFIX: Final = re.compile(r"(_seconds)?(_bucket|_count|_sum)$|_total$")
_FREE: Final = {"job", "instance"}

Label = tuple[str, str, str]
"""A metric, a label of it, and a value."""


def metrics_in(expression: str) -> set[str]:
    """Return the metrics that an expression asks for."""
    return set(_NAME.findall(re.sub(r'"[^"]*"|by \([^)]*\)', "", expression)))


def unknown_metrics(expression: str) -> set[str]:
    """Return the metrics of an expression that nobody exports."""
    own = {family.name + suffix for family in Metrics().registry.collect() for suffix in _SAMPLES[family.type]}
    asked = metrics_in(expression) - own - _recorded() - _OF_PROMETHEUS
    return {name for name in asked if not (name.startswith("temporal_") and _sdk_has(name))}


def unknown_labels(expressions: Iterable[str]) -> set[Label]:
    """Return the labels of the worker's metrics that are compared with values that it never counts."""
    asked = {label for expression in expressions for label in _compared(expression)}
    of_steps = {label for label in asked if label[0].startswith("signin_activity_seconds")}
    return asked - of_steps - _counted() | {label for label in of_steps if not _is_of_a_step(label)}


def _recorded() -> set[str]:
    """Return what the recording rules add."""
    return {OBJECTIVE, BUDGET_LEFT, *(f"{ERRORS}{window}" for window in WINDOWS)}


def _sdk_has(name: str) -> bool:
    return _SDK_SUFFIX.sub("", name.removeprefix("temporal_")).encode() in _sdk()


@functools.cache
def _sdk() -> bytes:
    (library,) = Path(temporalio.bridge.__file__).parent.glob("*temporal_sdk_bridge*")
    return library.read_bytes()


def _compared(expression: str) -> set[Label]:
    found = set()
    for name, matchers in re.findall(r"(signin_\w+)\{([^}]*)\}", expression):
        for label, values in re.findall(r'(\w+)[=!~]+"([^"]*)"', matchers):
            found |= {(name, label, value) for value in _alternatives(values.replace("\\\\.", "."))}
    return {label for label in found if label[1] not in _FREE and label[2]}


def _alternatives(pattern: str) -> set[str]:
    """Return what a pattern such as ``a.(b|c)`` stands for, without what need not be there."""
    pattern = re.sub(r"\([^)]*\)\?", "", pattern)
    before, _, rest = pattern.partition("(")
    inside, _, after = rest.partition(")")
    return {before + each + after for each in inside.split("|")} if rest else set(pattern.split("|"))


def _counted() -> set[Label]:
    """Return what a worker shows from the start."""
    metrics = Metrics()
    PrometheusConsumerMetrics(metrics, (REQUESTED_TOPIC, SUBMITTED_TOPIC))
    MeasuredMailer(FakeMailer(), metrics, utc_now)
    MeasuredPublisher(FakePublisher(), metrics, utc_now)
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return {(sample.name, label, value) for sample in samples for label, value in sample.labels.items()}


def _is_of_a_step(label: Label) -> bool:
    """Tell whether it is the name of an activity, or an outcome that the stopwatch gives: they come with the first."""
    _, name, value = label
    if name == "outcome":
        return f'return "{value}"' in inspect.getsource(prometheus)
    (folder,) = activities.__path__
    return any(f"def {value}(" in path.read_text() for path in Path(folder).glob("*.py"))
