"""Judge a history: ``python -m tests.history_check FILE [--json]``."""

import argparse
import json
import sys
from pathlib import Path

from tests.history_check.judge import Judgement, judge
from tests.history_check.lines import HistoryError


def main() -> int:
    """Return 0 if every promise was kept, 1 if one was broken, 65 if the file is no history."""
    parser = argparse.ArgumentParser(prog="python -m tests.history_check", description="Judge a recorded history.")
    parser.add_argument("file", type=Path, help="the history, as JSON lines")
    parser.add_argument("--json", action="store_true", help="print the judgement as JSON")
    options = parser.parse_args()

    try:
        with options.file.open(encoding="utf-8") as lines:
            judgement = judge(lines)
    except (OSError, HistoryError) as error:
        print(error, file=sys.stderr)
        return 65

    print(json.dumps(judgement.as_dict(), indent=1) if options.json else _text(judgement))
    return 1 if judgement.violations else 0


def _text(judgement: Judgement) -> str:
    lines = ", ".join(f"{count} {kind}" for kind, count in judgement.lines.items())
    repeats = ", ".join(f"{count} {kind}" for kind, count in judgement.repeats.items())

    return "\n".join(
        [
            f"{judgement.sign_ins} sign-ins; {lines}",
            f"repeated, as is allowed: {repeats}",
            f"{len(judgement.violations)} violations",
            *map(str, judgement.violations),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
