"""The documents as a web site. ``make docs`` builds the whole, in CI too."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deploy.local.places import PROJECT
from deploy.local.processes import executable
from deploy.prometheus.runbook import documentation_url
from deploy.site import versions
from deploy.site.asyncapi import rendered
from deploy.site.links import broken_links, outside_resources
from deploy.site.pages import gather, site_path

SETTINGS = PROJECT / "deploy" / "site" / "zensical.toml"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the sources of the site."""
    folder = tmp_path_factory.mktemp("site")
    gather(folder)
    return folder


def settings() -> dict[str, Any]:
    """Return the site's settings."""
    return dict(tomllib.loads(SETTINGS.read_text())["project"])


def page(folder: Path, name: str, body: str) -> None:
    """Write a page."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"<html><body>{body}</body></html>")


def test_the_site_builds_and_every_link_leads_somewhere(sources: Path) -> None:
    """Zensical reports nothing, no page loads anything from elsewhere, and headings that links name exist."""
    done = subprocess.run(
        [executable("zensical"), "build", "--strict"], cwd=sources, capture_output=True, text=True, timeout=100
    )
    site = sources / "site"

    assert done.returncode == 0, done.stdout + done.stderr
    assert [*broken_links(site), *outside_resources(site)] == []
    assert {"signinlate", "signinmailbudget"} <= set(
        re.findall(r'id="(\w+)"', (site / "runbook/index.html").read_text())
    )


def test_every_page_stands_in_the_navigation(sources: Path) -> None:
    """A page that nobody can find from the menu is a mistake; a decision record is found from its list."""
    named = set(re.findall(r'"([\w/-]+\.md)"', SETTINGS.read_text()))
    pages = {file.relative_to(sources / "docs").as_posix() for file in (sources / "docs").rglob("*.md")}
    records = {name for name in pages if re.match(r"adr/\d", name)}

    assert pages - records == named
    assert all(f"({name.removeprefix('adr/')})" in (sources / "docs/adr/index.md").read_text() for name in records)


def test_the_site_is_where_alerts_look_for_the_runbook() -> None:
    """Its address is the one in ``[project.urls]``."""
    assert settings()["site_url"] == documentation_url()


def test_links_between_documents_are_moved(sources: Path) -> None:
    """What stands beside ``docs`` in the repository stands among the pages on the site."""
    assert "](faults.md)" in (sources / "docs" / "index.md").read_text()
    assert "](adr/0001-two-workflows-with-two-identities.md)" in (sources / "docs" / "design.md").read_text()
    assert site_path(PROJECT / "CHANGELOG.md") == "changelog.md"
    with pytest.raises(ValueError, match="Makefile is linked to"):
        site_path(PROJECT / "Makefile")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<a href="other/">x</a>', ""),
        ('<a href="other/#here">x</a>', ""),
        ('<a href="https://example.com/gone">x</a>', ""),
        ('<a href="missing/">x</a>', "no such page: missing/"),
        ('<a href="other/#there">x</a>', "no such heading: other/#there"),
        ('<a href="#nowhere">x</a>', "no such heading: #nowhere"),
        ('<img src="missing.png">', "no such page: missing.png"),
        ('<a href="../outside.html">x</a>', "no such page: ../outside.html"),
    ],
)
def test_a_broken_link_is_found(tmp_path: Path, body: str, problem: str) -> None:
    """Pages, headings and pictures are looked for; addresses elsewhere are not asked."""
    site = tmp_path / "site"
    page(site, "index.html", body)
    page(site, "other/index.html", '<h2 id="here">x</h2>')

    assert list(broken_links(site)) == ([f"index.html: {problem}"] if problem else [])


def test_what_tells_others_who_reads_is_found(tmp_path: Path) -> None:
    """A font or a script from elsewhere is; a link to elsewhere is not."""
    page(
        tmp_path, "a.html", '<link rel="stylesheet" href="https://fonts.example/css"><a href="https://x.example/">x</a>'
    )
    page(
        tmp_path, "b.html", '<script src="//cdn.example/a.js"></script><link rel="canonical" href="https://y.example/">'
    )

    assert list(outside_resources(tmp_path)) == [
        "a.html loads https://fonts.example/css",
        "b.html loads //cdn.example/a.js",
    ]


def test_the_contract_is_rendered_with_an_example_of_each_message() -> None:
    """Each message has its members, what they look like, and JSON that can be copied."""
    text = rendered()
    contract = json.loads((PROJECT / "docs" / "schemas" / "asyncapi.json").read_text())
    names = {message["name"] for message in contract["components"]["messages"].values()}
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)]

    assert all(re.search(rf"^###? {re.escape(name)}$", text, re.MULTILINE) for name in names)
    assert len(examples) == len(names) - 1, "all but the dead letter, whose value is the record's own"
    assert "| `email` | yes | string, 1 to 320 characters |" in text
    assert "| `client.ip` |" in text
    assert "``" not in text.replace("```", "")


def test_releases_stand_side_by_side(tmp_path: Path) -> None:
    """The newest is also ``latest``, also if an older line has a release after it."""
    published = tmp_path / "published"
    published.mkdir()

    for version in ("1.9.0", "1.10.0", "1.9.1"):
        site = tmp_path / version
        page(site, "index.html", version)
        versions.add(published, site, version)

    listed = json.loads((published / "versions.json").read_text())

    assert [each["version"] for each in listed] == ["1.10.0", "1.9.1", "1.9.0"]
    assert [each["aliases"] for each in listed] == [["latest"], [], []]
    assert "1.10.0" in (published / "latest" / "index.html").read_text()
    assert "url=latest/" in (published / "index.html").read_text()


def test_a_release_that_is_published_again_replaces_its_pages(tmp_path: Path) -> None:
    """No page of the earlier build is left."""
    for name in ("old.html", "new.html"):
        site = tmp_path / name
        page(site, name, "x")
        versions.add(tmp_path / "published", site, "1.0.0")

    assert [file.name for file in (tmp_path / "published" / "1.0.0").iterdir()] == ["new.html"]
    assert not (tmp_path / "published" / "latest" / "old.html").exists()
