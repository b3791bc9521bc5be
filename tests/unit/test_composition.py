"""What import-linter cannot see, since it knows packages only: who imports the adapters."""

import ast
from collections.abc import Iterator
from pathlib import Path

from deploy.local.places import PROJECT

_SOURCES = ("consumers", "workflows", "activities", "schemas", "deploy")


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_only_the_composition_root_imports_the_adapters() -> None:
    """Outside ``utils`` itself, ``signin_worker.py`` is the only module that imports from it."""
    modules = [*PROJECT.glob("*.py"), *(path for folder in _SOURCES for path in (PROJECT / folder).rglob("*.py"))]
    importers = [path for path in modules if any(name.split(".")[0] == "utils" for name in imported(path))]

    assert importers == [PROJECT / "signin_worker.py"]


def test_the_composition_root_is_the_only_module_at_the_root() -> None:
    """Whatever else there is has a room."""
    assert [path.name for path in PROJECT.glob("*.py")] == ["signin_worker.py"]
