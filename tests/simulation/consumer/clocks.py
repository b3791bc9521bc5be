"""Gives the worker and its Kafka client the loop's time, and random numbers from a seed."""

import gc
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from types import FunctionType, ModuleType
from typing import Any, Final
from unittest.mock import patch

from consumers.ports import utc_now

BEGINNING: Final = datetime(2026, 11, 27, 12, tzinfo=UTC)
"""The time of day when a simulation begins."""

_PRODUCT: Final = ("consumers.", "utils.", "activities.")
_real_monotonic: Final = time.monotonic

Now = Callable[[], float]


@contextmanager
def simulated_clocks(now: Now, seed: int) -> Iterator[None]:
    """Let ``time`` and the worker's own clocks show ``now``, and seed ``random``."""

    def utc() -> datetime:
        return BEGINNING + timedelta(seconds=now())

    def epoch_seconds() -> float:
        return BEGINNING.timestamp() + now()

    state = random.getstate()
    random.seed(seed)
    gc.disable()  # what a collector finds, and when, is not deterministic
    try:
        with (
            patch.object(time, "monotonic", now),
            patch.object(time, "time", epoch_seconds),
            _defaults_replaced({_real_monotonic: now, utc_now: utc}),
        ):
            yield
    finally:
        random.setstate(state)
        gc.enable()


@contextmanager
def _defaults_replaced(replacements: Mapping[Any, Any]) -> Iterator[None]:
    """Replace the clocks that are defaults of parameters: they were bound when the function was defined."""
    changed = [(function, function.__defaults__) for function in _functions_with_clocks()]
    for function, defaults in changed:
        function.__defaults__ = tuple(_replaced(value, replacements) for value in defaults or ())

    try:
        yield
    finally:
        for function, defaults in changed:
            function.__defaults__ = defaults


def _replaced(value: Any, replacements: Mapping[Any, Any]) -> Any:
    return next((new for old, new in replacements.items() if old is value), value)


def _functions_with_clocks() -> Iterator[FunctionType]:
    for name in list(sys.modules):
        if name.startswith(_PRODUCT):
            yield from _those_with_clocks(name)


@cache
def _those_with_clocks(module: str) -> Sequence[FunctionType]:
    clocks = (_real_monotonic, utc_now)
    return [
        function
        for function in _functions_of(sys.modules[module])
        if any(value is clock for value in function.__defaults__ or () for clock in clocks)
    ]


def _functions_of(module: ModuleType) -> Iterator[FunctionType]:
    for value in vars(module).values():
        if isinstance(value, FunctionType):
            yield value
        elif isinstance(value, type):
            yield from (member for member in vars(value).values() if isinstance(member, FunctionType))
