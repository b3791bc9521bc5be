"""The command ``signin-worker schemas``: writes the contract for machines, or compares it with an earlier one."""

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
_ENDING = ".schema.json"


def schemas(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write all of it into this folder.")] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Compare with what was written there; 1 if it breaks.")
    ] = None,
) -> None:
    """Show the AsyncAPI document; with --out, write it and the JSON Schema of every event."""
    if against is not None:
        _compare(against)
    elif out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files(_topics(context)).items():
            (out / name).write_text(text, encoding="utf-8")
        typer.echo(f"{out}: {_DOCUMENT} and {len(json_schemas())} schemas")
    else:
        typer.echo(files(_topics(context))[_DOCUMENT], nl=False)


def files(topics: tuple[str, str, str]) -> Mapping[str, str]:
    """Return all files by name."""
    schemas = {name + _ENDING: _as_text(schema) for name, schema in json_schemas().items()}
    return {_DOCUMENT: _as_text(asyncapi(topics)), **schemas}


def _compare(folder: Path) -> None:
    try:
        before = {path.name.removesuffix(_ENDING): _read(path) for path in sorted(folder.glob(f"*{_ENDING}"))}
    except (OSError, ValueError) as error:
        end_command(os.EX_USAGE, f"{folder} cannot be read ({type(error).__name__}): name a folder that --out wrote.")
    if not before:
        end_command(os.EX_USAGE, f"{folder} has no file *{_ENDING}: name a folder that --out wrote.")
    changes = list(breaking_changes(before, json_schemas()))
    for change in changes:
        typer.echo(change)
    typer.echo(f"{len(before)} events compared: {len(changes) or 'no'} breaking changes")
    if changes:
        raise SystemExit(1)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _as_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _topics(context: typer.Context) -> tuple[str, str, str]:
    return read_wiring(context, "SIGNIN_KAFKA__").topics
