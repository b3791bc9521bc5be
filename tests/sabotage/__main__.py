"""Break each rule in a copy of the project and run its test: ``make sabotage``. Writes docs/bridge.md."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from deploy.local.places import PROJECT
from tests.sabotage.cuts import CUTS, RULES, Cut

DOCUMENT: Final = PROJECT / "docs" / "bridge.md"
_LEFT_OUT: Final = shutil.ignore_patterns(".cache", ".git", "__pycache__")
_WITHIN_S: Final = 120
_TESTS_FAILED: Final = 1
_HEAD: Final = """\
# The bridge's rules, and the tests that hold them

Written by `make sabotage`, not by hand. Each rule is broken on purpose in a copy of the project, in the way that the
second column tells; the test in the third must fail then, and passes otherwise. What holds under faults, on real
servers, is in `docs/faults.md`; what Temporal answers, and what becomes of it, in
`tests/integration/test_temporal_answers.py`.

| rule | broken by | noticed by |
|---|---|---|
"""


def main() -> int:
    """Return 0 if every cut is noticed, 1 if one is not."""
    parser = argparse.ArgumentParser(prog="make sabotage", description="Break each rule; see a test fail.")
    parser.add_argument("--rule", type=int, choices=RULES, help="only the cuts of this rule")
    rule = parser.parse_args().rule
    cuts = [cut for cut in CUTS if rule in (None, cut.rule)]
    console = Console()
    verdicts = {cut: _verdict(cut) for cut in track(cuts, "Breaking rules", console=console, transient=True)}
    console.print(_table(verdicts))
    if not all(verdict == "noticed" for verdict in verdicts.values()):
        return 1

    if rule is None:
        DOCUMENT.write_text(rendered())
        console.print(f"written: {DOCUMENT.relative_to(PROJECT)}")

    return 0


def _verdict(cut: Cut) -> str:
    """Run the test without the cut, then with it."""
    with TemporaryDirectory() as folder:
        copy = Path(folder, "project")
        shutil.copytree(PROJECT, copy, ignore=_LEFT_OUT)
        if _outcome(cut.test, copy) != 0:
            return "fails without it, too"

        path = copy / cut.file
        path.write_text(path.read_text().replace(cut.old, cut.new))
        return "noticed" if _outcome(cut.test, copy) == _TESTS_FAILED else "NOT NOTICED"


def _outcome(test: str, copy: Path) -> int:
    """Return pytest's exit code. A test that hangs has noticed, too."""
    options = ("-q", "-x", "-p", "no:cacheprovider", "--timeout", str(_WITHIN_S // 2))
    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, test],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_WITHIN_S,
        ).returncode
    except subprocess.TimeoutExpired:
        return _TESTS_FAILED


def _table(verdicts: dict[Cut, str]) -> Table:
    table = Table(title="Sabotage")
    for heading in ("rule", "broken by", "test", "verdict"):
        table.add_column(heading)
    for cut, verdict in verdicts.items():
        table.add_row(str(cut.rule), cut.what, cut.test.rpartition("/")[2], verdict)
    return table


def rendered() -> str:
    """Return the document."""
    lines = [f"| {cut.rule}. {RULES[cut.rule]} | {cut.what} (`{cut.file}`) | `{cut.test}` |" for cut in CUTS]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
