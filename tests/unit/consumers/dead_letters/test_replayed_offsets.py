"""What is remembered of a partition's dead letters."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.dead_letters.replayed_offsets import MAX_METADATA_LENGTH, ReplayedOffsets
from consumers.ports import ReplayMark

OFFSETS = st.integers(0, 300)


@given(st.integers(0, 50), st.lists(st.tuples(OFFSETS, st.integers(0, 40))))
def test_it_is_a_set_that_kafka_keeps(first: int, ranges: list[tuple[int, int]]) -> None:
    """What was added is in it, nothing else is, and all of that survives being written and read."""
    done, model = ReplayedOffsets(first), set(range(first))
    for start, length in ranges:
        done.add(start, start + length)
        model |= set(range(start, start + length))

    again = ReplayedOffsets.from_mark(done.mark(), 0, 1000)
    for offset in range(400):
        assert (offset in done) is (offset in again) is (offset in model)

    assert done.watermark == again.watermark == next(each for each in range(401) if each not in model)


def test_in_order_only_the_offset_is_kept() -> None:
    """Without holes the note is empty: the plain committed offset that every tool understands."""
    done = ReplayedOffsets(7)
    for offset in (7, 8, 10, 9):
        done.add(offset)
    assert done.mark() == ReplayMark(11, "")


def test_what_retention_removed_counts_as_done() -> None:
    """The watermark follows the beginning of the log; holes above it stay holes."""
    done = ReplayedOffsets(0)
    done.add(3)
    done.add(6)
    again = ReplayedOffsets.from_mark(done.mark(), 3, 10)
    assert [offset for offset in range(10) if offset not in again] == [4, 5, 7, 8, 9]


@pytest.mark.parametrize("note", ["", "z1:", "z1:%%%", "z1:AAAA", "z9:eJxjAAAAAQAB", "somebody else's", "z1:ü"])
def test_a_note_that_is_not_ours_adds_nothing(note: str) -> None:
    """The offset counts, and nothing above it is taken for done."""
    assert ReplayedOffsets.from_mark(ReplayMark(5, note), 0, 10).mark() == ReplayMark(5, "")


def test_an_offset_beyond_the_end_is_of_another_topic() -> None:
    """A topic that was made anew begins at the beginning."""
    assert ReplayedOffsets.from_mark(ReplayMark(11, ""), 0, 10).watermark == 0
    assert ReplayedOffsets.from_mark(None, 4, 10).watermark == 4


@pytest.mark.parametrize(("letters", "share"), [(20_000, 0.5), (40_000, 0.1), (100_000, 0.01)])
def test_many_holes_fit(letters: int, share: float) -> None:
    """At random, of this many letters of one partition, this share put back: the worst there is."""
    done, draw = ReplayedOffsets(0), random.Random(1)
    for offset in range(1, letters):
        if draw.random() < share:
            done.add(offset)
    assert len(done.mark().metadata) <= MAX_METADATA_LENGTH
