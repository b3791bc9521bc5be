"""The parts of the documents that are written from the code: settings, commands, metrics, alerts, the file map.

They stand between markers; ``python -m tests.docs`` writes them, and a test fails while they are not as the code is.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer.core
import typer.main
import yaml
from prometheus_client import Metric

from deploy.local.places import PROJECT
from signin_worker import cli
from utils.settings.environment import Variable, variables
from utils.prometheus import Metrics
from utils.settings.loading import Settings
from utils.cli.terminal import settings_table
from tests.docs.documents import DESIGN, README, with_generated

ALERTS: Final = PROJECT / "deploy" / "prometheus" / "alerts.yml"
PACKAGES: Final = ("consumers", "workflows", "activities", "schemas", "utils", "deploy")
_NO_CODE: Final = {
    "deploy/grafana/signin-worker.json": "The dashboard for Grafana, written by `python -m deploy.grafana`.",
    "utils/smtp/templates/mail.html.j2": "The layout of the mail's HTML part.",
    "utils/smtp/templates/mail.txt.j2": "The layout of the mail's text part.",
}
_TRANSLATION: Final = re.compile(r"utils/smtp/templates/[a-z]{2}(-[a-z]+)?\.json")
_REFERENCE: Final = re.compile(r" \((?:CONTRACT|SECURITY|BRIDGE)\b[^)]*\)")


def generated() -> dict[str, str]:
    """Return each part by the name in its marker."""
    parts = {"settings": _settings(), "commands": _commands(), "metrics": _metrics()}
    return {**parts, "alerts": _alerts(), "files": _files()}


def write() -> None:
    """Write all parts into the documents that have markers for them."""
    parts = generated()
    for document in (README, DESIGN):
        document.write_text(with_generated(document.read_text(), parts))


def source_files() -> list[str]:
    """Return every file of the worker and of what is deployed with it, relative to the project."""
    found = [*PROJECT.glob("*.py"), *(path for package in PACKAGES for path in (PROJECT / package).rglob("*"))]
    wanted = (path for path in found if path.is_file() and "__pycache__" not in path.parts)
    return sorted(str(path.relative_to(PROJECT)) for path in wanted if path.name != "__init__.py")


def commands() -> dict[str, str]:
    """Return every command by its usage, with the first line of its help."""
    root = typer.main.get_command(cli)
    return dict(_walk(root, ("signin-worker",), root.make_context("signin-worker", [], resilient_parsing=True)))


def metrics() -> list[Metric]:
    """Return the worker's own metrics."""
    collected = (metric for metric in Metrics().registry.collect() if metric.name.startswith("signin_"))
    return sorted(collected, key=lambda metric: metric.name)


def alerts() -> list[dict[str, Any]]:
    """Return the alerting rules, in order."""
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def metric_name(metric: Metric) -> str:
    """Return the name that one asks Prometheus for."""
    return f"{metric.name}_total" if metric.type == "counter" else str(metric.name)


def _settings() -> str:
    described = dict(settings_table(Settings))
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
    return (
        f"| [`{name}`]({annotations['runbook']}) | {severity} | {_cell(annotations['summary'].removesuffix('.'))} |\n"
    )


def _files() -> str:
    files, text = source_files(), ""
    for folder in sorted({str(Path(file).parent) for file in files}, key=_import_order):
        inside = [file for file in files if str(Path(file).parent) == folder]
        heading = "The root" if folder == "." else f"`{folder}/`"
        about = "" if folder == "." else _folder_line(folder)
        text += f"\n**{heading}**{about}\n\n" + "".join(f"* `{Path(file).name}`: {_line(file)}\n" for file in inside)
    return text + "\n"


def _import_order(folder: str) -> tuple[int, str]:
    top = Path(folder).parts[0] if folder != "." else "."
    return ("." if top == "." else "", *PACKAGES).index(top), folder


def _folder_line(folder: str) -> str:
    file = PROJECT / folder / "__init__.py"
    return f" {_summary(file)}" if file.exists() else ""


def _line(file: str) -> str:
    if file.endswith(".py"):
        return _summary(PROJECT / file)
    if _TRANSLATION.fullmatch(file):
        return "The sentences of the mail in one language."
    if file in _NO_CODE:
        return _NO_CODE[file]

    comments = (line for line in (PROJECT / file).read_text().splitlines() if re.match(r"# ?[A-Z]", line))

    return re.split(r"(?<=[.:]) ", next(comments).lstrip("# "))[0].rstrip(":").rstrip(".") + "."


def _summary(module: Path) -> str:
    """Return the first line of a module's docstring, without its references."""
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    line = _REFERENCE.sub("", docstring.split("\n\n")[0].replace("\n", " "))
    return line.replace("``", "`").replace("?.", "?")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
