"""The waits of requests, divided by phase."""

from tests.faults.pauses import Phase, Read, phases


def test_requests_belong_to_the_phase_in_which_they_were_produced() -> None:
    """Those before the first phase to none, and a phase without requests is left out."""
    reads = [Read(9.0, 9.5), Read(10.0, 10.25), Read(19.0, 25.0)]

    assert phases(reads, {"one": 10.0, "two": 20.0}) == [Phase("one", 2, 3.125, 6.0, 1)]


def test_the_lag_counts_what_waits_at_the_same_time() -> None:
    """The second and third wait for the first; the fourth comes when all have been read."""
    reads = [Read(1.0, 3.0), Read(1.5, 3.5), Read(2.0, 3.0), Read(4.0, 4.5)]
    (phase,) = phases(reads, {"one": 0.0})

    assert phase.lag == 3
    assert str(phase) == "one: 2.0 s, lag 3"


def test_a_clock_that_is_behind_makes_no_negative_wait() -> None:
    """The broker's clock and Temporal's may differ."""
    (phase,) = phases([Read(2.0, 1.0), Read(2.0, 2.0)], {"one": 0.0})

    assert (phase.longest_s, phase.lag) == (0.0, 0)
