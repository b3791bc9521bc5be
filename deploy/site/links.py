"""Follows every link of a built site, to its page and its heading. Addresses elsewhere are not asked."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_LINKS: Final = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}


class _Page(HTMLParser):
    """The ids of a page, and its links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an id and a link."""
        found = dict(attrs)
        if identifier := found.get("id"):
            self.ids.add(identifier)

        link = found.get(_LINKS.get(tag, ""))
        if link:
            self.links.append(link)


def broken_links(site: Path) -> Iterator[str]:
    """Yield a sentence for each link that leads nowhere, and each that has a third party told who reads."""
    pages = {file: _Page(file.read_text()) for file in sorted(site.rglob("*.html"))}

    for file, page in pages.items():
        if file.name == "404.html":  # its links are absolute: it is served at any depth
            continue
        for link in page.links:
            if problem := _problem(link, file, site, pages):
                yield f"{file.relative_to(site)}: {problem}"


def outside_resources(site: Path) -> Iterator[str]:
    """Yield each stylesheet, script, font or picture that a page loads from somebody else."""
    for file in sorted(site.rglob("*.html")):
        page = _Resources(file.read_text())
        yield from (f"{file.relative_to(site)} loads {address}" for address in page.addresses)


class _Resources(HTMLParser):
    """What a page loads from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is loaded, not what is linked to."""
        found = dict(attrs)
        is_loaded = tag in ("img", "script", "source") or (
            tag == "link" and found.get("rel") in ("stylesheet", "preconnect")
        )
        address = found.get(_LINKS.get(tag, "")) or ""
        if is_loaded and urlsplit(address).netloc:
            self.addresses.append(address)


def _problem(link: str, file: Path, site: Path, pages: dict[Path, _Page]) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None

    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if target.is_dir():
        target = target / "index.html"
    if not target.is_relative_to(site.resolve()) or not target.is_file():
        return f"no such page: {link}"

    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].ids:
        return f"no such heading: {link}"
    return None
