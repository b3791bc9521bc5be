"""Build the site of the documents: ``python -m deploy.site [--out FOLDER]``; ``make docs`` does it."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.local.places import cache_folder
from deploy.local.processes import executable
from deploy.site.links import broken_links, outside_resources
from deploy.site.pages import gather


def main() -> int:
    """Return 0 if the site is complete, 1 if a link leads nowhere or a page loads something from elsewhere."""
    parser = argparse.ArgumentParser(prog="make docs ARGS=…", description="Build the site of the documents.")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=cache_folder() / "site", help="where to write it")
    folder = parser.parse_args().out

    build(folder)
    problems = [*broken_links(folder), *outside_resources(folder)]
    pages = len(list(folder.rglob("*.html")))

    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"{pages} pages in {folder}; links that lead nowhere and things loaded from elsewhere: {len(problems)}")
    return 1 if problems else 0


def build(folder: Path) -> None:
    """Write the site into a folder, in place of what was there. Raises ``CalledProcessError``."""
    with tempfile.TemporaryDirectory(prefix="site-") as name:
        sources = Path(name)
        gather(sources)
        subprocess.run([executable("zensical"), "build", "--strict"], cwd=sources, check=True)

        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(sources / "site", folder)


if __name__ == "__main__":
    sys.exit(main())
