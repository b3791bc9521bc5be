"""Adds a release to the published site: ``python -m deploy.site.versions FOLDER SITE VERSION``.

The folder holds one site for each release, a copy of the newest as ``latest``, and the list for the version selector.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Final

_LATEST: Final = "latest"
_REDIRECT: Final = f"""<!doctype html>
<meta charset="utf-8">
<title>signin-worker</title>
<meta http-equiv="refresh" content="0; url={_LATEST}/">
<a href="{_LATEST}/">The documents of the latest release</a>
"""


def add(folder: Path, site: Path, version: str) -> None:
    """Put the site of a release into the folder, in place of an earlier build of the same release."""
    _copy(site, folder / version)
    known = versions(folder)
    if known[0] == version:
        _copy(site, folder / _LATEST)

    listed = [{"version": each, "title": each, "aliases": [_LATEST] if each == known[0] else []} for each in known]
    (folder / "versions.json").write_text(json.dumps(listed, indent=1) + "\n")
    (folder / "index.html").write_text(_REDIRECT)
    (folder / ".nojekyll").touch()  # Pages would leave out what begins with an underscore


def versions(folder: Path) -> list[str]:
    """Return the releases in the folder, the newest first."""
    found = [path.name for path in folder.iterdir() if path.is_dir() and path.name[0].isdigit()]
    return sorted(found, key=lambda name: [int(part) for part in name.split(".")], reverse=True)


def _copy(site: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(site, target)


if __name__ == "__main__":
    add(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
