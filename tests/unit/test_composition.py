"""The rule that import-linter cannot see, since it knows packages only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.places import PROJECT

COMMANDS = [path for path in sorted(PROJECT.glob("signin_*.py")) if path.name != "signin_worker.py"]


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_only_the_composition_root_reads_settings_and_builds_clients(path: Path) -> None:
    """Commands beside it know the terminal, and get everything else from it."""
    modules = set(imported(path))
    assert {name for name in modules if name.startswith("utils")} <= {"utils.rich_output", "utils.terminal"}
    assert not modules & {"aiokafka", "httpx", "temporalio", "signin_worker"}
