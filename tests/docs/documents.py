"""The project's documents, and the pieces of them that tests look at."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from deploy.local.places import PROJECT

README: Final = PROJECT / "README.md"
DESIGN: Final = PROJECT / "DESIGN.md"
EVENTS: Final = PROJECT / "docs" / "events.md"
INSTALLATION: Final = PROJECT / "docs" / "installation.md"
REFERENCE: Final = PROJECT / "docs" / "reference.md"

_FENCE: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_MARKED: Final = re.compile(r"(<!-- (\w+): written by python -m tests\.docs -->\n).*?(<!-- end -->)", re.DOTALL)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_TOPS: Final = "consumers|workflows|activities|schemas|utils|deploy|tests|docs|requirements|\\.github"
_PATH: Final = re.compile(rf"`([\w.-]+\.md|(?:{_TOPS})/[\w./-]*)(?:::[^`\n]+)?`")


class Block(NamedTuple):
    """What stands between two fences, without its indentation."""

    language: str
    text: str


class Target(NamedTuple):
    """A file or folder that a document refers to, and perhaps a heading in it."""

    path: Path
    anchor: str


def documents() -> list[Path]:
    """Return every document."""
    return sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])


def blocks(document: Path, *languages: str) -> list[Block]:
    """Return the fenced blocks in these languages, from the top."""
    found = (_block(match) for match in _FENCE.finditer(document.read_text()))
    return [block for block in found if block.language in languages]


def section(document: Path, heading: str) -> str:
    """Return the text under a heading, up to the next one of whatever level."""
    text = document.read_text()
    headings = list(_HEADING.finditer(text))
    starts = [match.end() for match in headings if match[1] == heading]
    assert len(starts) == 1, f"{document.name} has {len(starts)} headings {heading!r}"
    return text[starts[0] : min((match.start() for match in headings if match.start() > starts[0]), default=len(text))]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables in ``text``, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {place for place, line in enumerate(lines) if set(line) <= set("|- ")}
    body = (line for place, line in enumerate(lines) if not {place, place + 1} & heads)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in body]


def code(text: str) -> list[str]:
    """Return what stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def targets(document: Path) -> Iterator[Target]:
    """Yield the files and folders of this project that a document links to or names."""
    text = _FENCE.sub("", document.read_text())
    for link in _LINK.findall(text):
        if not link.startswith("http"):
            path, _, anchor = link.partition("#")
            yield Target(document.parent / path if path else document, anchor)

    yield from (Target(PROJECT / path, "") for path in _PATH.findall(text))


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", document.read_text()))
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)

    return {each.replace(" ", "-") for each in words}


def with_generated(text: str, generated: dict[str, str]) -> str:
    """Return a document's text with what stands between markers written anew."""
    return _MARKED.sub(lambda match: f"{match[1]}{generated[match[2]]}{match[3]}", text)


def generated_names(text: str) -> list[str]:
    """Return the names of the marked parts."""
    return [match[2] for match in _MARKED.finditer(text)]


def _block(match: re.Match[str]) -> Block:
    indentation, language, text = match.groups()
    return Block(language, "".join(line.removeprefix(indentation) for line in text.splitlines(keepends=True)))
