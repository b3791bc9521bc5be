"""``make sabotage``: breaks each rule in a copy of the project, runs its test, and writes ``docs/bridge.md``.

Then it breaks the worker in many ways under the simulation, and writes how many seeds it took to notice each.
"""

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
from tests.sabotage.cuts import CUTS
from tests.sabotage.rules import RULES, Cut
from tests.simulation.mutants import MUTANTS_OF, find_all

DOCUMENT: Final = PROJECT / "docs" / "bridge.md"
_NOT_COPIED: Final = shutil.ignore_patterns(".cache", ".git", "__pycache__")
_TIMEOUT_S: Final = 120
_TESTS_FAILED: Final = 1
_MAX_SEEDS: Final = 5_000
_HEAD: Final = """\
# The consumer's rules and the tests that guard them

`make sabotage` writes this page; do not edit it. It breaks each rule on purpose, in a copy of the project, as the
second column describes. The test in the third column passes before the change and must fail after it.

`docs/faults.md` shows that the rules hold on real servers under faults. `tests/integration/test_temporal_answers.py`
shows how the consumer handles each of Temporal's answers.

| rule | change | noticed by |
|---|---|---|
"""


def main() -> int:
    """Return 0 if every cut is noticed, 1 if one is not."""
    parser = argparse.ArgumentParser(prog="make sabotage", description="Break each rule and check that a test fails.")
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
        return max(find_all(console, half, _MAX_SEEDS, write=True) for half in MUTANTS_OF)

    return 0


def _verdict(cut: Cut) -> str:
    """Run the test without the cut and then with it."""
    with TemporaryDirectory() as folder:
        copy = Path(folder, "project")
        shutil.copytree(PROJECT, copy, ignore=_NOT_COPIED)
        if _outcome(cut.test, copy) != 0:
            return "also fails without the cut"

        path = copy / cut.file
        path.write_text(path.read_text().replace(cut.old, cut.new))
        return "noticed" if _outcome(cut.test, copy) == _TESTS_FAILED else "NOT NOTICED"


def _outcome(test: str, copy: Path) -> int:
    """Return pytest's exit code. A test that hangs counts as failed."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ("-q", "-x", "-p", "no:cacheprovider", "--timeout", str(_TIMEOUT_S // 2))

    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, test],
            cwd=copy,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
        ).returncode
    except subprocess.TimeoutExpired:
        return _TESTS_FAILED


def _table(verdicts: dict[Cut, str]) -> Table:
    table = Table(title="Sabotage")
    for heading in ("rule", "change", "test", "verdict"):
        table.add_column(heading)
    for cut, verdict in verdicts.items():
        table.add_row(str(cut.rule), cut.what, cut.test.rpartition("/")[2], verdict)
    return table


def rendered() -> str:
    """Return the page."""
    lines = [f"| {cut.rule}. {RULES[cut.rule]} | {cut.what} (`{cut.file}`) | `{cut.test}` |" for cut in CUTS]
    return _HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
