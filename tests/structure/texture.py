"""How the code reads, in figures: ``python -m tests.structure [--json] [FOLDER ...]``.

The figures were first taken beside dramatiq, svcs, structlog, httpx, pgqueuer and Temporal's samples (docs/adr/0019).
"""

import ast
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, Final

LONG_FUNCTION: Final = 10
"""Lines from which on a function needs paragraphs."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """One function. ``lines``: those of its body without docstring; ``has_paragraphs``: a blank line divides them."""

    path: Path
    name: str
    lines: int
    has_paragraphs: bool


@dataclass(frozen=True)
class Texture:
    """The figures of a set of modules. Shares are between 0 and 1, lengths in lines or characters."""

    functions: int
    median_function: float
    longest_function: int
    long_functions: int
    share_without_paragraphs: float
    assignments: int
    share_of_tuple_assignments: float
    mean_line: float
    modules: int
    longest_module: int

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def texture(paths: Iterable[Path]) -> Texture:
    """Measure modules. Raises ``SyntaxError`` for one that is not Python."""
    sources = {path: path.read_text(encoding="utf-8") for path in paths}
    trees = {path: ast.parse(source) for path, source in sources.items()}

    found = [function for path, tree in trees.items() for function in functions(path, tree, sources[path])]
    long = [function for function in found if function.lines >= LONG_FUNCTION]
    bindings = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    lines = [line for source in sources.values() for line in source.splitlines()]

    return Texture(
        functions=len(found),
        median_function=median(function.lines for function in found),
        longest_function=max(function.lines for function in found),
        long_functions=len(long),
        share_without_paragraphs=_share(not function.has_paragraphs for function in long),
        assignments=len(bindings),
        share_of_tuple_assignments=_share(binds_unlike_things(binding) for binding in bindings),
        mean_line=mean(len(line) for line in lines if line.strip()),
        modules=len(sources),
        longest_module=max(len(source.splitlines()) for source in sources.values()),
    )


def functions(path: Path, tree: ast.AST, source: str) -> Iterator[Function]:
    """Yield every function of a module, methods and inner functions included."""
    lines = source.splitlines()
    inside_strings = _lines_inside_strings(path)

    for node in ast.walk(tree):
        if isinstance(node, _Function):
            first, last = _extent(node)
            body = range(first, last + 1)
            blank = any(not lines[number - 1].strip() and number not in inside_strings for number in body)
            yield Function(path, node.name, max(0, last - first + 1), blank)


def binds_unlike_things(binding: ast.Assign) -> bool:
    """Tell whether an assignment binds several values, written side by side, that are not the same."""
    if not (isinstance(binding.value, ast.Tuple) and isinstance(binding.targets[0], ast.Tuple)):
        return False

    return len({ast.dump(value) for value in binding.value.elts}) > 1


def _extent(node: _Function) -> tuple[int, int]:
    """Return the first and the last line of a function's body, its docstring left out."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    last = node.end_lineno or node.lineno
    first = (node.body[0].end_lineno or last) + 1 if body is not node.body else body[0].lineno

    return first, last


def _lines_inside_strings(path: Path) -> set[int]:
    """Return the lines that a string over several lines covers: a blank one there divides nothing."""
    with tokenize.open(path) as file:
        tokens = [token for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.STRING]

    return {number for token in tokens for number in range(token.start[0] + 1, token.end[0])}


def _share(answers: Iterable[bool]) -> float:
    given = list(answers)

    return sum(given) / len(given) if given else 0.0
