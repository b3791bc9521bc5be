"""Gathers what the site is built from: ``docs``, the documents beside it, and pages that are made here."""

import re
import shutil
from pathlib import Path
from typing import Final

from deploy.local.places import PROJECT
from deploy.site.asyncapi import rendered as rendered_contract

FROM_ROOT: Final = {
    "README.md": "index.md",
    "DESIGN.md": "design.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "vulnerabilities.md",
    "LICENSE": "license.txt",
    "examples/web-login/README.md": "web-login.md",
}
"""Documents beside ``docs``, and their names on the site."""

_DOCS: Final = PROJECT / "docs"
_TEMPLATES: Final = Path(__file__).parent
_LINK: Final = re.compile(r"(?<=\]\()([^)\s#]+)((?:#[^)\s]*)?)(?=\))")
_TITLE: Final = re.compile(r"^# (.+)$", re.MULTILINE)


def gather(folder: Path) -> None:
    """Write the sources of the site into an empty folder."""
    pages = folder / "docs"
    shutil.copytree(_DOCS, pages)
    for name in ("zensical.toml", "style.css", "logo.svg"):
        shutil.copy(_TEMPLATES / name, folder if name.endswith("toml") else pages)

    for source in sorted(_DOCS.rglob("*.md")):
        _write(source, pages / source.relative_to(_DOCS), pages)
    for name, target in FROM_ROOT.items():
        _write(PROJECT / name, pages / target, pages)

    (pages / "asyncapi.md").write_text(rendered_contract())
    (pages / "adr" / "index.md").write_text(_decisions())


def _write(source: Path, target: Path, pages: Path) -> None:
    """Copy a document, with links that lead to the same places on the site."""

    def moved(match: re.Match[str]) -> str:
        link, anchor = match.groups()
        if ":" in link:
            return match[0]
        place = site_path((source.parent / link).resolve())
        depth = len(target.relative_to(pages).parent.parts)
        return f"{'../' * depth}{place}{anchor}"

    text = source.read_text()
    target.write_text(_LINK.sub(moved, text))


def site_path(file: Path) -> str:
    """Return where a file of the project is on the site. Raises ``ValueError`` if it is not there."""
    if file.is_relative_to(_DOCS) and file.is_file():
        return file.relative_to(_DOCS).as_posix()

    name = file.relative_to(PROJECT).as_posix()
    if name not in FROM_ROOT:
        raise ValueError(f"{name} is linked to, but is no page of the site")
    return FROM_ROOT[name]


def _decisions() -> str:
    """Return the list of the decision records, the newest first."""
    files = sorted((_DOCS / "adr").glob("[0-9]*.md"), reverse=True)
    lines = [f"* [{_title(file)}]({file.name})" for file in files]

    return "\n".join(
        ["# Decisions", "", "Half a page for each decision that an expert would question.", "", *lines, ""]
    )


def _title(file: Path) -> str:
    found = _TITLE.search(file.read_text())
    assert found is not None, f"{file} has no title"
    return found[1]
