"""``make bench`` and ``make bench-scale``: measure, print the figures and write the pages."""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # has no types

from deploy.local.places import StackError
from tests.benchmarks.performance.arena import open_arena
from tests.benchmarks.performance.figures import CLUSTER_TARGETS, TARGETS, Target
from tests.benchmarks.performance.programme import FULL, SHORT, Measurements, Scale, measure
from tests.benchmarks.performance.report import FOLDER, write
from tests.benchmarks.performance.scaling import (
    LONG,
    WAITING,
    Load,
    cost_beside_waiting,
    several_workers,
)

_LOOK_S: Final = 5.0


def main() -> int:
    """Return 0 if everybody could sign in, 1 if not or if the stack failed. A missed target is not a failure."""
    options = _options()
    settings = dict(options.setting)
    busy = psutil.cpu_percent(interval=_LOOK_S)
    found = Measurements()

    try:
        if options.scale:
            load = Load(options.waiting, 1, 40, 1) if options.short else Load(options.waiting)
            asyncio.run(_scaled(load, found, settings))
        else:
            scale = SHORT if options.short else FULL
            asyncio.run(_measured(scale, found, settings, on_cluster=options.cluster))
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        _write(found, busy, options.out, settings, on_cluster=options.cluster)

    _show(found, CLUSTER_TARGETS if options.cluster else TARGETS)

    return 0 if found.is_complete else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.performance", description=__doc__)
    parser.add_argument(
        "--scale",
        action="store_true",
        help="measure many waiting people and several workers instead of the rest",
    )
    parser.add_argument(
        "--waiting",
        metavar="COUNT",
        type=int,
        default=10_000,
        help="with --scale: how many people wait",
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="measure on Temporal as it runs in production, which is built the first time",
    )
    parser.add_argument("--short", action="store_true", help="a small run, to see that everything works")
    parser.add_argument(
        "--setting",
        metavar="NAME=VALUE",
        type=_pair,
        action="append",
        default=[],
        help="a dynamic setting of Temporal",
    )
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=FOLDER, help="where to write the pages")

    options = parser.parse_args()
    if options.waiting not in WAITING and not options.short:
        parser.error(f"--waiting takes {' or '.join(map(str, WAITING))}: P7 has no target for {options.waiting}")

    if options.cluster and options.scale:
        parser.error("--scale measures on the dev server only: leave out --cluster")

    return options


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


async def _measured(scale: Scale, found: Measurements, settings: Mapping[str, str], *, on_cluster: bool) -> None:
    async with open_arena(settings=settings, on_cluster=on_cluster) as arena:
        await measure(arena, scale, found, partial(_log, time.monotonic()))


async def _scaled(load: Load, found: Measurements, settings: Mapping[str, str]) -> None:
    log = partial(_log, time.monotonic())
    is_long = load.waiting == LONG
    if not is_long:
        async with open_arena(settings=settings) as arena:
            found.figures["P8"], found.scaled = await several_workers(arena, load, log)

    stack = partial(open_arena, durable=is_long, settings=settings)
    async with stack() as crowded, stack() as calm:
        found.figures[WAITING.get(load.waiting, "P7")] = await cost_beside_waiting(crowded, calm, load, log)


def _write(
    found: Measurements,
    busy_before_percent: float,
    folder: Path,
    settings: Mapping[str, str],
    *,
    on_cluster: bool,
) -> None:
    more = {"repeats": found.repeats, "scaled": found.scaled}
    known = {name: one for name, one in more.items() if one}
    write(
        found.figures,
        found.ways,
        {"busy_before_percent": busy_before_percent, **known},
        folder,
        settings,
        on_cluster=on_cluster,
    )


def _log(begun: float, text: str) -> None:
    print(f"{time.monotonic() - begun:5.0f} s  {text}", flush=True)


def _show(found: Measurements, targets: Sequence[Target]) -> None:
    for target in targets:
        if target.name in found.figures:
            member = found.figures[target.name].as_json(target)
            met = "met" if member["met"] else "NOT MET"
            print(f"{target.name:16} {member['value']:>8g}  {member['target']:16} {met}")


if __name__ == "__main__":
    sys.exit(main())
