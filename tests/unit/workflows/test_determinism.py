"""Workflows run without the SDK's sandbox (docs/adr/0014): what it would have stopped is looked for here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import workflows

SOURCES = sorted(Path(workflows.__file__).parent.rglob("*.py"))
CLOCKS = {"now", "utcnow", "today", "fromtimestamp", "utcfromtimestamp", "monotonic", "time", "perf_counter"}
CHANCE = {"uuid1", "uuid4", "random", "randint", "choice", "shuffle", "token_bytes", "token_hex", "urandom"}
OUTSIDE = {"open", "input", "print", "environ", "getenv", "id", "hash"}


def strange_calls(source: str) -> Iterator[str]:
    """Yield what a source names that answers otherwise in a replay, save what Temporal's ``workflow`` gives."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS | CHANCE | {"environ", "getenv"}:
            if not (isinstance(node.value, ast.Name) and node.value.id == "workflow"):
                yield ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OUTSIDE | CHANCE:
            yield ast.unparse(node.func)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_workflows_ask_only_temporal_for_time_and_chance(source: Path) -> None:
    """Or a replay would decide otherwise."""
    assert list(strange_calls(source.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    ["datetime.now(UTC)", "time.monotonic()", "uuid.uuid4()", "random.random()", "open('x')", "os.environ", "hash(x)"],
)
def test_it_would_be_noticed(line: str) -> None:
    """Each of them."""
    assert list(strange_calls(f"def rule(x):\n    return {line}\n"))


@pytest.mark.parametrize("line", ["workflow.now()", "workflow.uuid4()", "workflow.time()"])
def test_what_temporal_gives_is_fine(line: str) -> None:
    """It answers the same in a replay."""
    assert list(strange_calls(f"def rule():\n    return {line}\n")) == []
