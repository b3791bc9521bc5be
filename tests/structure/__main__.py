"""Print how the code reads: ``python -m tests.structure [--json]``."""

import argparse
import json

from rich.console import Console
from rich.table import Table

from tests.structure.sources import product, tests
from tests.structure.texture import Texture, texture

_FIGURES = {
    "functions": "functions",
    "median_function": "median lines of a function",
    "longest_function": "longest function, lines",
    "long_functions": "functions of ten or more lines",
    "share_without_paragraphs": "… of those, without a blank line",
    "share_of_tuple_assignments": "assignments that bind unlike things in one tuple",
    "mean_line": "mean length of a line, characters",
    "modules": "modules",
    "longest_module": "longest module, lines",
}


def main() -> None:
    """Measure the product and its tests, and print both."""
    parser = argparse.ArgumentParser(prog="python -m tests.structure", description="How the code reads, in figures.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    measured = {"product": texture(product()), "tests": texture(tests())}

    if arguments.json:
        print(json.dumps({name: figures.as_dict() for name, figures in measured.items()}))
    else:
        Console().print(_table(measured))


def _table(measured: dict[str, Texture]) -> Table:
    table = Table("figure", *measured)

    for member, title in _FIGURES.items():
        values = [getattr(figures, member) for figures in measured.values()]
        table.add_row(title, *(_shown(member, value) for value in values))

    return table


def _shown(member: str, value: float) -> str:
    if member.startswith("share"):
        return f"{value:.1%}"

    return f"{value:g}" if isinstance(value, int) else f"{value:.1f}"


if __name__ == "__main__":
    main()
