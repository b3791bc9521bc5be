"""The workflows use no clock, no chance and no environment of their own.

In production they run without the SDK's sandbox (docs/adr/0014), which would stop them. So
these tests search the sources for what the sandbox would have stopped.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import workflows

FOLDER = Path(workflows.__file__).parent
SOURCES = sorted(FOLDER.rglob("*.py"))
CLOCKS = {
    "now",
    "utcnow",
    "today",
    "fromtimestamp",
    "utcfromtimestamp",
    "monotonic",
    "time",
    "perf_counter",
}
CHANCE = {
    "uuid1",
    "uuid4",
    "random",
    "randint",
    "choice",
    "shuffle",
    "token_bytes",
    "token_hex",
    "urandom",
}
ENVIRONMENT = {"environ", "getenv"}
BUILTINS = {"open", "input", "print", "id", "hash"}


def nondeterministic_names(source: str) -> Iterator[str]:
    """Yield the names in a source that give another answer in a replay."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS | CHANCE | ENVIRONMENT:
            if not (isinstance(node.value, ast.Name) and node.value.id == "workflow"):
                yield ast.unparse(node)

        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in CHANCE | ENVIRONMENT | BUILTINS:
                yield node.func.id


def test_the_rules_are_searched_too() -> None:
    """The rules run inside the workflows."""
    assert FOLDER / "rules" / "mailbox.py" in SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_workflows_ask_only_temporal_for_time_and_chance(source: Path) -> None:
    """Any other source would make a replay decide differently."""
    assert list(nondeterministic_names(source.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "expression",
    [
        "datetime.now(UTC)",
        "time.monotonic()",
        "uuid.uuid4()",
        "random.random()",
        "open('x')",
        "os.environ",
        "hash(x)",
    ],
)
def test_nondeterminism_is_found(expression: str) -> None:
    """The search finds each kind."""
    assert list(nondeterministic_names(f"def rule(x):\n    return {expression}\n"))


@pytest.mark.parametrize("expression", ["workflow.now()", "workflow.uuid4()", "workflow.time()"])
def test_what_temporal_provides_is_allowed(expression: str) -> None:
    """Temporal gives the same answer in a replay."""
    assert list(nondeterministic_names(f"def rule():\n    return {expression}\n")) == []
