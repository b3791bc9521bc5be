"""``make bench``: measure, show, and write down."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from tests.benchmarks.performance.arena import arena
from tests.benchmarks.performance.figures import TARGETS
from tests.benchmarks.performance.programme import FULL, SHORT, Measured, Scale, measure
from tests.benchmarks.performance.report import FOLDER, write


def main() -> int:
    """Return 0 unless somebody was not let through: what is slow is a figure, what is wrong is a failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.performance", description=__doc__)
    parser.add_argument("--short", action="store_true", help="little of everything: to see that it runs")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=FOLDER, help="where the documents go")
    options = parser.parse_args()
    found = asyncio.run(_measured(SHORT if options.short else FULL))
    write(found.figures, found.ways, {"repeated_results": found.repeated_results}, options.out)
    for target in TARGETS:
        if target.name in found.figures:
            member = found.figures[target.name].as_json(target)
            met = "met" if member["met"] else "NOT MET"
            print(f"{target.name:16} {member['value']:>8g}  {member['target']:16} {met}")
    return 1 if any(way["not_through"] for way in found.ways.values()) else 0


async def _measured(scale: Scale) -> Measured:
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:5.0f} s  {text}", flush=True)

    async with arena() as scene:
        return await measure(scene, scale, say)


if __name__ == "__main__":
    sys.exit(main())
