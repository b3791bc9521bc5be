"""Limits that some worlds have smaller, so that a few events reach them."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from workflows import inbox, run_limits
from workflows.rules import attempts, outbox, submissions

_SMALLER: Final[Mapping[tuple[Any, str], tuple[int, ...]]] = {
    (run_limits, "MAX_EVENTS"): (20, 60),
    (run_limits, "LAST_EVENTS"): (40, 120),
    (inbox, "MAX_SIGNALS_PER_BATCH"): (1, 2),
    (attempts, "MAX_LIVE_SIGN_INS"): (2,),
    (submissions, "MAX_WAITING"): (1, 3),
    (submissions, "MAX_QUEUED"): (1, 3),
    (outbox, "MAX_RESULTS_PER_PUBLICATION"): (1, 2),
    (outbox, "MAX_PUBLICATIONS_IN_FLIGHT"): (1, 2),
    (outbox, "MAX_CARRIED_RESULTS"): (0, 2),
    (outbox, "MAX_OVERFLOW_RESULTS"): (1, 3),
}


class Knobs:
    """The limits of one world, drawn from its seed. In every second world all are as usual."""

    def __init__(self, rng: random.Random) -> None:
        share = rng.choice((0.0, 0.0, 0.2, 0.6))
        self._drawn = {where: rng.choice(values) for where, values in _SMALLER.items() if rng.random() < share}

    @contextmanager
    def turned(self) -> Iterator[None]:
        """Use these limits for a while."""
        patches = [patch.object(module, name, value) for (module, name), value in self._drawn.items()]
        for one in patches:
            one.start()
        try:
            yield
        finally:
            for one in patches:
                one.stop()
