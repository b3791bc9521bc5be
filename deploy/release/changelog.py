"""CHANGELOG.md, in the form of https://keepachangelog.com: one section for each release, the newest first."""

import re
from datetime import date
from typing import Final

_HEADING: Final = re.compile(r"^## \[(?P<name>[^\]]+)\](?P<rest>.*)$", re.MULTILINE)
_DATED: Final = re.compile(r" - (\d{4}-\d{2}-\d{2})")


class ReleaseError(Exception):
    """Raised when something cannot be released as it is. The text says what to do."""


def notes(changelog: str, version: str) -> str:
    """Return what changed in a release. Raises ``ReleaseError`` without a dated section that says something."""
    headings = list(_HEADING.finditer(changelog))
    found = next((heading for heading in headings if heading["name"] == version), None)
    if found is None:
        raise ReleaseError(f"CHANGELOG.md has no section [{version}]: rename [Unreleased].")

    _check_date(found["rest"], version)

    end = next((heading.start() for heading in headings if heading.start() > found.start()), len(changelog))
    text = changelog[found.end() : end].strip()
    if not text:
        raise ReleaseError(f"CHANGELOG.md says nothing about [{version}]: write what changed.")

    return text + "\n"


def _check_date(rest: str, version: str) -> None:
    match = _DATED.fullmatch(rest.rstrip())
    try:
        date.fromisoformat(match[1] if match else "")
    except ValueError:
        raise ReleaseError(f"CHANGELOG.md: the heading must read ## [{version}] - YYYY-MM-DD.") from None
