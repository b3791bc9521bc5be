"""The reference says what the commands print."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.local.places import PROJECT

_REFERENCE: Final = PROJECT / "docs" / "reference.md"
_CHECKS: Final = PROJECT / "utils" / "checks"
_FINDINGS: Final = ("passed", "warning", "failed")


def test_every_line_of_check_is_explained() -> None:
    """The table under "What `check` asks" has a row for each name that a finding can have."""
    section = _REFERENCE.read_text().partition("### What `check` asks")[2].partition("\n## ")[0]
    explained = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    names = {name for path in _CHECKS.glob("[!_]*.py") for name in _names(path)}

    assert len(names) > 10
    assert names == explained


def _names(path: Path) -> Iterator[str]:
    """Return the first argument of each call that makes a finding."""
    module = importlib.import_module(f"utils.checks.{path.stem}")
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(attr=made), args=[first, *_]) if made in _FINDINGS:
                yield str(getattr(module, first.id) if isinstance(first, ast.Name) else ast.literal_eval(first))
