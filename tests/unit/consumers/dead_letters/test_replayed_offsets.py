"""The offsets of a partition that were put back, as Kafka stores them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.dead_letters.replayed_offsets import MAX_METADATA_LENGTH, ReplayedOffsets
from consumers.ports import ReplayMark

OFFSETS = st.integers(0, 300)


@given(st.integers(0, 50), st.lists(st.tuples(OFFSETS, st.integers(0, 40))))
def test_it_is_a_set_of_offsets_that_kafka_can_store(first: int, ranges: list[tuple[int, int]]) -> None:
    """It contains what was added and nothing else, also after it was stored and loaded."""
    replayed = ReplayedOffsets(first)
    model = set(range(first))
    for start, length in ranges:
        replayed.add(start, start + length)
        model |= set(range(start, start + length))

    loaded = ReplayedOffsets.from_mark(replayed.mark(), 0, 1000)

    for offset in range(400):
        assert (offset in replayed) is (offset in loaded) is (offset in model)

    assert replayed.watermark == loaded.watermark == next(each for each in range(401) if each not in model)


def test_without_holes_only_the_offset_is_stored() -> None:
    """The metadata is empty, so it is the plain committed offset that every Kafka tool understands."""
    replayed = ReplayedOffsets(7)
    for offset in (7, 8, 10, 9):
        replayed.add(offset)
    assert replayed.mark() == ReplayMark(11, "")


def test_offsets_removed_by_retention_count_as_done() -> None:
    """The watermark follows the beginning of the log. Holes above it stay holes."""
    replayed = ReplayedOffsets(0)
    replayed.add(3)
    replayed.add(6)
    loaded = ReplayedOffsets.from_mark(replayed.mark(), 3, 10)
    assert [offset for offset in range(10) if offset not in loaded] == [4, 5, 7, 8, 9]


@pytest.mark.parametrize(
    "metadata",
    ["", "z1:", "z1:%%%", "z1:AAAA", "z9:eJxjAAAAAQAB", "somebody else's", "z1:ü"],
)
def test_metadata_of_somebody_else_adds_nothing(metadata: str) -> None:
    """The offset counts, and no offset above it is taken for done."""
    assert ReplayedOffsets.from_mark(ReplayMark(5, metadata), 0, 10).mark() == ReplayMark(5, "")


def test_an_offset_beyond_the_end_belongs_to_an_earlier_topic() -> None:
    """A topic that was deleted and created again is replayed from its beginning."""
    assert ReplayedOffsets.from_mark(ReplayMark(11, ""), 0, 10).watermark == 0
    assert ReplayedOffsets.from_mark(None, 4, 10).watermark == 4


@pytest.mark.parametrize(("letters", "share"), [(20_000, 0.5), (40_000, 0.1), (100_000, 0.01)])
def test_the_metadata_takes_many_holes(letters: int, share: float) -> None:
    """Random holes are the worst case: this share of so many letters of one partition was put back."""
    replayed = ReplayedOffsets(0)
    draw = random.Random(1)
    for offset in range(1, letters):
        if draw.random() < share:
            replayed.add(offset)
    assert len(replayed.mark().metadata) <= MAX_METADATA_LENGTH
