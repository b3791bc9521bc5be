"""The figures that keep the code readable, and the tool that takes them."""

from pathlib import Path

import pytest

from tests.structure import sources
from tests.structure.texture import Texture, texture

MAX_SHARE_WITHOUT_PARAGRAPHS = 0.40
MAX_SHARE_OF_TUPLE_ASSIGNMENTS = 0.012
MAX_FUNCTION_LINES = 50
MAX_MODULE_LINES = 300


@pytest.fixture(scope="module", params=["product", "tests"])
def measured(request: pytest.FixtureRequest) -> Texture:
    """Give the figures of the product, then of the tests."""
    return texture(getattr(sources, request.param)())


def measure(folder: Path, source: str) -> Texture:
    """Return the figures of one module with this source."""
    path = folder / "module.py"
    path.write_text(source, encoding="utf-8")

    return texture([path])


def test_long_functions_are_divided_into_paragraphs(measured: Texture) -> None:
    """At most 40 % of the functions of ten or more lines have no blank line."""
    assert measured.share_without_paragraphs <= MAX_SHARE_WITHOUT_PARAGRAPHS


def test_an_assignment_binds_one_thing(measured: Texture) -> None:
    """At most 1.2 % of the assignments bind unlike things in one tuple."""
    assert measured.share_of_tuple_assignments <= MAX_SHARE_OF_TUPLE_ASSIGNMENTS


def test_functions_and_modules_are_short(measured: Texture) -> None:
    """The median function has at most six lines, none has more than 50, and no module has more than 300."""
    assert measured.median_function <= 6
    assert measured.longest_function <= MAX_FUNCTION_LINES
    assert measured.longest_module <= MAX_MODULE_LINES


@pytest.mark.parametrize(("blank", "share"), [("", 1.0), ("\n", 0.0)])
def test_a_blank_line_makes_paragraphs(tmp_path: Path, blank: str, share: float) -> None:
    """A function of ten lines counts as divided once it has a blank line."""
    source = "def long():\n" + "    step()\n" * 5 + blank + "    step()\n" * 5

    assert measure(tmp_path, source).share_without_paragraphs == share


def test_blank_lines_inside_a_string_or_the_docstring_do_not_count(tmp_path: Path) -> None:
    """Only blank lines between statements divide a function."""
    source = 'def long():\n    """Say.\n\n    More.\n    """\n    x = """a\n\nb"""\n' + "    step()\n" * 9

    assert measure(tmp_path, source).share_without_paragraphs == 1.0


def test_the_docstring_is_no_part_of_the_length(tmp_path: Path) -> None:
    """The length of a function is that of its body."""
    path = tmp_path / "module.py"
    source = 'def short():\n    """Say.\n\n    More.\n    """\n    return 1\n'
    path.write_text(source, encoding="utf-8")

    assert measure(tmp_path, source).longest_function == 1


@pytest.mark.parametrize(
    ("line", "share"),
    [("a, b = x, y", 1.0), ("a, b = 0, 0", 0.0), ("a, b = pair", 0.0), ("a = x, y", 0.0), ("a = b = x", 0.0)],
)
def test_what_binds_unlike_things(tmp_path: Path, line: str, share: float) -> None:
    """Several values written side by side count, unless they are the same."""
    assert measure(tmp_path, f"def bind():\n    {line}\n").share_of_tuple_assignments == share
