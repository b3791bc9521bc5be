"""Leaves out of a story what its end does not need."""

from collections.abc import Callable, Sequence
from typing import Final

_MAX_TRIES: Final = 200

StillFails = Callable[[frozenset[int]], bool]


def shrink(moves: Sequence[int], still_fails: StillFails, max_tries: int = _MAX_TRIES) -> frozenset[int]:
    """Return the moves that can be skipped together. It tries halves, then quarters, and single moves in the end."""
    skipped: frozenset[int] = frozenset()
    tries = 0
    size = max(1, len(moves) // 2)

    while tries < max_tries:
        left = [move for move in moves if move not in skipped]
        before = skipped
        for start in range(0, len(left), size):
            tries += 1
            candidate = skipped | frozenset(left[start : start + size])
            if still_fails(candidate):
                skipped = candidate
            if tries == max_tries:
                break

        if size == 1 and skipped == before:
            break
        size = max(1, size // 2)

    return skipped
