"""The second program shares no code with the first, nor with the worker."""

import ast
import sys
from pathlib import Path

import pytest

_PACKAGE = "tests.history_check"
_FOLDER = Path(__file__).parent
_PROGRAM = sorted(path for path in _FOLDER.glob("*.py") if not path.name.startswith("test_"))


def imported(path: Path) -> set[str]:
    """Return the modules that a module imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    sources = {node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)}

    return plain | sources


@pytest.mark.parametrize("path", _PROGRAM, ids=lambda path: path.name)
def test_the_program_imports_only_itself_and_the_standard_library(path: Path) -> None:
    """No module of it knows the fault programme, the worker or a library."""
    foreign = {
        module
        for module in imported(path)
        if module != _PACKAGE
        and not module.startswith(f"{_PACKAGE}.")
        and module.split(".")[0] not in sys.stdlib_module_names
    }

    assert not foreign
