"""The command ``signin-worker schemas``: writes the contract, or compares it with an earlier one."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.compatibility import breaking_changes
from schemas.contract import asyncapi, json_schemas
from utils.cli.terminal import end_command, read_wiring

_DOCUMENT = "asyncapi.json"
_SUFFIX = ".schema.json"


def schemas(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the document and all schemas into this folder."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Compare with the schemas in this folder; exit 1 on a breaking change."),
    ] = None,
) -> None:
    """Show the AsyncAPI document; with --out, write it and the JSON Schema of every event."""
    if against is not None:
        _compare(against)
    elif out is not None:
        _write(out, files(_topics(context)))
    else:
        typer.echo(files(_topics(context))[_DOCUMENT], nl=False)


def files(topics: tuple[str, str, str]) -> Mapping[str, str]:
    """Return the text of each file, by name."""
    schemas = {name + _SUFFIX: _as_text(schema) for name, schema in json_schemas().items()}
    return {_DOCUMENT: _as_text(asyncapi(topics)), **schemas}


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    typer.echo(f"{folder}: {_DOCUMENT} and {len(texts) - 1} schemas")


def _compare(folder: Path) -> None:
    before = _earlier(folder)
    changes = list(breaking_changes(before, json_schemas()))

    for change in changes:
        typer.echo(change)
    number = len(changes) or "no"
    noun = "change" if len(changes) == 1 else "changes"
    typer.echo(f"{len(before)} events compared: {number} breaking {noun}")

    if changes:
        raise SystemExit(1)


def _earlier(folder: Path) -> Mapping[str, Any]:
    """Read the schemas in a folder, by event. Exit with 64 if there are none."""
    try:
        paths = sorted(folder.glob(f"*{_SUFFIX}"))
        schemas = {path.name.removesuffix(_SUFFIX): _read(path) for path in paths}
    except (OSError, ValueError) as error:
        reason = type(error).__name__
        end_command(os.EX_USAGE, f"{folder} cannot be read ({reason}): name a folder that --out wrote.")
    if not schemas:
        end_command(os.EX_USAGE, f"{folder} has no file *{_SUFFIX}: name a folder that --out wrote.")

    return schemas


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _as_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _topics(context: typer.Context) -> tuple[str, str, str]:
    return read_wiring(context, "SIGNIN_KAFKA__").topics
