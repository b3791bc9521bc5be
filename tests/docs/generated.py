"""The parts of the documents that are generated from the code: settings, commands, metrics, alerts.

They stand between markers. ``python -m tests.docs`` writes them, and a test fails while they differ from the code.
"""

from collections.abc import Iterator
from typing import Any, Final

import typer.core
import typer.main
import yaml
from prometheus_client import Metric

from deploy.local.places import PROJECT
from signin_worker import command_line
from tests.docs.documents import REFERENCE, with_generated
from utils.cli.terminal import settings_table
from utils.prometheus import Metrics
from utils.settings.environment import Variable, variables
from utils.settings.loading import Settings

ALERTS: Final = [PROJECT / "deploy" / "prometheus" / name for name in ("alerts.yml", "slo.yml")]


def generated() -> dict[str, str]:
    """Return each part by the name in its marker."""
    return {"settings": _settings(), "commands": _commands(), "metrics": _metrics(), "alerts": _alerts()}


def write() -> None:
    """Write all parts into the reference."""
    REFERENCE.write_text(with_generated(REFERENCE.read_text(), generated()))


def commands() -> dict[str, str]:
    """Return every command by its usage, with the first line of its help."""
    root = typer.main.get_command(command_line())
    return dict(_walk(root, ("signin-worker",), root.make_context("signin-worker", [], resilient_parsing=True)))


def metrics() -> list[Metric]:
    """Return the worker's own metrics."""
    collected = (metric for metric in Metrics().registry.collect() if metric.name.startswith("signin_"))
    return sorted(collected, key=lambda metric: metric.name)


def alerts() -> list[dict[str, Any]]:
    """Return the alerting rules, in order."""
    groups = [group for file in ALERTS for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def metric_name(metric: Metric) -> str:
    """Return the name that one asks Prometheus for."""
    return f"{metric.name}_total" if metric.type == "counter" else str(metric.name)


def _settings() -> str:
    described = dict(settings_table())
    lines = (_setting(variable, described[variable.name]) for variable in variables(Settings))
    return "| variable | default | meaning |\n|---|---|---|\n" + "".join(lines)


def _setting(variable: Variable, text: str) -> str:
    """Return a row. What ``check --help`` says in one line, default and file included, is in columns here."""
    meaning, _, rest = text.removesuffix(f" Or {variable.name}_FILE.").partition(" Default: ")
    default = f"`{rest.removesuffix('.')}`" if rest else "–"
    file = "; or `…_FILE`" if variable.secret else ""
    return f"| `{variable.name}` | {default} | {_cell(meaning.removesuffix('.'))}{file} |\n"


def _commands() -> str:
    lines = (f"| `{_cell(usage)}` | {_cell(text)} |\n" for usage, text in commands().items())
    return "| command | what it does |\n|---|---|\n" + "".join(lines)


def _walk(command: Any, path: tuple[str, ...], context: Any) -> Iterator[tuple[str, str]]:
    if isinstance(command, typer.core.TyperGroup):
        for name, inner in command.commands.items():
            yield from _walk(inner, (*path, name), context)
        return

    arguments = [each for each in command.params if isinstance(each, typer.core.TyperArgument)]
    options = [each for each in command.params if isinstance(each, typer.core.TyperOption)]
    usage = [*path, *(_argument(each) for each in arguments), *(f"[{_option(each, context)}]" for each in options)]
    yield " ".join(usage), (command.help or "").split("\n\n")[0].replace("\n", " ")


def _argument(argument: Any) -> str:
    name = str(argument.metavar or argument.name).upper()
    return name if argument.required else f"[{name}]"


def _option(option: Any, context: Any) -> str:
    """Return an option as the help shows it, with the kind of its value or the values that it can have."""
    return str(option.get_help_record(context)[0])


def _metrics() -> str:
    lines = (f"| `{_with_labels(metric)}` | {metric.type} | {metric.documentation} |\n" for metric in metrics())
    return "| metric | type | meaning |\n|---|---|---|\n" + "".join(lines)


def _with_labels(metric: Metric) -> str:
    collector = Metrics().registry._names_to_collectors[metric.name]
    names = collector._labelnames  # type: ignore[attr-defined]  # no public way
    return metric_name(metric) + (f"{{{','.join(names)}}}" if names else "")


def _alerts() -> str:
    lines = (_alert(rule["alert"], rule["labels"]["severity"], rule["annotations"]) for rule in alerts())
    return "| alert | severity | what |\n|---|---|---|\n" + "".join(lines)


def _alert(name: str, severity: str, annotations: dict[str, str]) -> str:
    """Return a row. The runbook stands beside the reference."""
    paragraph = f"runbook.md#{name.lower()}"
    summary = annotations["summary"].removesuffix(".")

    return f"| [`{name}`]({paragraph}) | {severity} | {_cell(summary)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
