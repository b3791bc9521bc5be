"""What a seed showed, and how many seeds are run at once."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Final

from tests.simulation.silence import be_silent, silence

_CHUNK: Final = 4


@dataclass(frozen=True)
class Verdict:
    """What one seed showed. ``kinds``: how often each kind of event happened; ``story``: its events, if asked for."""

    seed: int
    violations: list[str]
    kinds: Counter[str]
    simulated_s: float
    digest: str = ""
    story: list[str] = field(default_factory=list)


RunSeed = Callable[[int], Verdict]


def run_seeds(run_seed: RunSeed, seeds: Iterable[int], processes: int | None = None) -> Iterator[Verdict]:
    """Run seeds in parallel processes, and yield their verdicts in the order of the seeds."""
    processes = processes or os.cpu_count() or 1
    if processes == 1:
        with silence():
            yield from map(run_seed, seeds)
        return

    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=be_silent) as pool:
        try:
            yield from pool.map(run_seed, seeds, chunksize=_CHUNK)
        finally:
            pool.shutdown(cancel_futures=True)
