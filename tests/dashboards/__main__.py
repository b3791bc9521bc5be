"""Fill the dashboard with data: ``python -m tests.dashboards [--out FOLDER]``, or ``make dashboards``."""

import argparse
import asyncio
import logging
import sys
import time
from functools import partial
from pathlib import Path

from deploy.local.places import StackError
from tests.dashboards.load import measure
from tests.dashboards.report import FOLDER, write


def main() -> int:
    """Return 0 if every panel shows something, 1 if not, 69 if a server does not start."""
    parser = argparse.ArgumentParser(prog="make dashboards ARGS=…", description=__doc__)
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=FOLDER, help="where to write the documents")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    try:
        found = asyncio.run(measure(partial(_say, time.monotonic())))
    except StackError as error:
        print(error, file=sys.stderr)
        return 69

    write(found, options.out)
    queries = sum(len(filled.panel.queries) for filled in found.filled)
    print(f"{found.people} people; {queries} queries in {len(found.filled)} panels; {len(found.rules)} rules evaluated")
    print(*found.trouble, sep="\n")

    return 1 if found.trouble else 0


def _say(begun: float, text: str) -> None:
    print(f"{time.monotonic() - begun:5.0f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
