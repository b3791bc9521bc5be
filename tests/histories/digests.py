"""The digests of recorded histories: what was recorded for a release never changes.

``python -m tests.histories.digests DIR`` compares with an earlier state of the project in ``DIR``. It ends with 1 if
histories of a version that was released by then have changed.
"""

import hashlib
import sys
from pathlib import Path
from typing import Final

from deploy.local.places import PROJECT

FOLDER: Final = Path(__file__).parent
SUMS: Final = "SHA256SUMS"


def digests(folder: Path) -> str:
    """Return the digests of a release's histories, as ``sha256sum`` writes and checks them."""
    files = sorted(folder.glob("*.json"))
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)


def releases(project: Path = PROJECT) -> list[Path]:
    """Return the folders with recorded histories, one for each release."""
    return sorted({file.parent for file in (project / "tests" / "histories").glob("*/*.json")})


def is_released(version: str, project: Path = PROJECT) -> bool:
    """Tell whether the changelog has a date for a version, or is past it."""
    changelog = (project / "CHANGELOG.md").read_text()
    return f"## [Unreleased]: {version}\n" not in changelog


def changed_since(before: Path, now: Path = PROJECT) -> list[str]:
    """Return the versions that were released before, and whose histories are not the same now."""
    released = (folder for folder in releases(before) if is_released(folder.name, before))
    return [folder.name for folder in released if digests(folder) != digests(now / folder.relative_to(before))]


if __name__ == "__main__":
    changed = changed_since(Path(sys.argv[1]))
    sys.exit(f"Recorded histories of a release have changed: {', '.join(changed)}." if changed else 0)
