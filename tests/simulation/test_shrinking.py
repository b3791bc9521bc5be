"""Shrinking leaves out what a violation does not need."""

import pytest

from tests.simulation.shrinking import shrink


@pytest.mark.parametrize("needed", [{7}, {3, 60}, {1, 2, 50, 99}, set()])
def test_what_is_not_needed_is_skipped(needed: set[int]) -> None:
    """Only the moves stay without which the violation does not happen."""
    skipped = shrink(range(1, 101), lambda candidate: not needed & candidate)

    assert set(range(1, 101)) - skipped == needed


def test_the_number_of_tries_is_bounded() -> None:
    """A violation that needs everything does not take for ever."""
    tried: list[frozenset[int]] = []

    def needs_all(candidate: frozenset[int]) -> bool:
        tried.append(candidate)
        return not candidate

    assert shrink(range(1_000), needs_all, max_tries=50) == frozenset()
    assert len(tried) == 50
