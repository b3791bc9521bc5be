"""What import-linter cannot see, since it knows packages only: what the composition root alone may do."""

import ast
from collections.abc import Iterator
from pathlib import Path

from deploy.local.places import PROJECT

_ROOT = PROJECT / "signin_worker.py"
_CORE = ("consumers", "workflows", "activities", "schemas", "deploy")


def sources(*folders: str) -> list[Path]:
    """Return the modules at the root and in these folders."""
    return [*PROJECT.glob("*.py"), *(path for folder in folders for path in (PROJECT / folder).rglob("*.py"))]


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each module that a module imports, with the name that it imports from it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def test_only_the_composition_root_imports_the_adapters() -> None:
    """Outside ``utils`` itself, ``signin_worker.py`` is the only module that imports from it."""
    importers = [
        path for path in sources(*_CORE) if any(module.split(".")[0] == "utils" for module, _ in imported(path))
    ]
    assert importers == [_ROOT]


def test_only_the_composition_root_reads_the_settings() -> None:
    """Everything else takes a ``Wiring``, the settings, or constructor arguments."""
    readers = [path for path in sources(*_CORE, "utils") if "load_settings" in {name for _, name in imported(path)}]
    assert readers == [_ROOT]


def test_the_composition_root_is_the_only_module_at_the_root() -> None:
    """Every other module has a room."""
    assert sources() == [_ROOT]
