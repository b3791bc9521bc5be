"""The adaptive limit under any answers: it stays in its bounds, shrinks when there is cause, and always comes back."""

from collections.abc import Sequence

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from consumers.gateway.limiter import AdaptiveLimit, Sample

BASE_S = 0.01
SAMPLES = st.lists(
    st.builds(
        lambda kind, pause, latency, company, overloaded: (kind, pause, latency, company, overloaded),
        st.sampled_from(["start", "submit"]),
        st.floats(0, 40),
        st.floats(0, 10),
        st.integers(1, 80),
        st.booleans(),
    ),
    max_size=200,
)
BOUNDS = st.tuples(st.integers(1, 8), st.integers(1, 64)).map(sorted)


class Play:
    """Hands samples to a limit, one after the other in time."""

    def __init__(self, minimum: int = 3, maximum: int = 64, initial: int = 4) -> None:
        self.limit = AdaptiveLimit(maximum, minimum, initial)
        self.now = 0.0

    def call(self, latency_s: float, company: int, kind: str = "start", overloaded: bool = False) -> None:
        """Make one call that begins now."""
        begun_at, self.now = self.now, self.now + latency_s
        self.limit.record(Sample(kind, begun_at, self.now, company, overloaded))

    def play(self, samples: Sequence[tuple[str, float, float, int, bool]]) -> None:
        """Make any calls."""
        for kind, pause_s, latency_s, company, overloaded in samples:
            self.now += pause_s
            self.call(latency_s, company, kind, overloaded)

    def look(self) -> None:
        """Show it what a call takes in calm, as often as it can ask."""
        for _ in range(30):
            self.call(BASE_S, 1)

    def round(self, latency_s: float, company: int | None = None) -> None:
        """Make enough calls for one decision, by default as many at a time as there may be."""
        limit = self.limit.limit
        for _ in range(max(16, 2 * limit)):
            self.call(latency_s, limit if company is None else company)


@given(BOUNDS, st.integers(0, 100), SAMPLES)
def test_it_never_leaves_its_bounds(
    bounds: list[int], initial: int, samples: list[tuple[str, float, float, int, bool]]
) -> None:
    """Whatever is told, in whatever order."""
    minimum, maximum = bounds
    play = Play(minimum, maximum, initial)
    for sample in samples:
        assert minimum <= play.limit.limit <= maximum
        play.play([sample])
    assert minimum <= play.limit.limit <= maximum


@given(st.integers(4, 64), st.lists(st.floats(BASE_S, 10 * BASE_S), max_size=10), st.data())
def test_it_grows_only_when_it_is_used(limit: int, latencies: list[float], data: st.DataObject) -> None:
    """A server that is fast at three calls says nothing about what it is at ten."""
    play = Play(initial=limit)
    play.look()
    for latency_s in latencies:
        before = play.limit.limit
        if before <= 3:
            break

        play.round(latency_s, company=data.draw(st.integers(1, before - 1)))

        assert play.limit.limit <= before


@given(st.integers(5, 64), st.floats(6, 1000))
def test_it_shrinks_when_calls_take_far_longer_than_in_calm(limit: int, stretch: float) -> None:
    """From anywhere above what saturates the smallest server."""
    play = Play(initial=limit)
    play.look()
    play.round(stretch * BASE_S)
    assert play.limit.limit < limit


@given(st.integers(3, 60))
def test_it_grows_while_calls_take_no_longer_than_in_calm(limit: int) -> None:
    """By the root of itself."""
    play = Play(initial=limit)
    play.look()
    play.round(BASE_S)
    assert limit < play.limit.limit <= limit + limit**0.5


@given(st.integers(3, 64), st.integers(1, 64))
def test_calls_that_fail_together_shrink_it_once(limit: int, failures: int) -> None:
    """They all had the same limit."""
    play = Play(initial=limit)
    play.look()
    begun_at = play.now
    for number in range(failures):
        play.limit.record(Sample("start", begun_at, begun_at + 0.1 + number * 0.001, limit, overloaded=True))
    assert play.limit.limit == max(3, limit // 2)


@settings(max_examples=30)
@given(SAMPLES)
def test_it_always_comes_back(samples: list[tuple[str, float, float, int, bool]]) -> None:
    """After any past, a server that has room gets its calls again: nothing that was learnt stays for ever."""
    play = Play()
    play.play(samples)
    play.now += 30_000
    for _ in range(20):
        play.look()
        play.round(BASE_S)
    assert play.limit.limit == 64


@given(st.floats(0.001, 0.1), st.floats(0.001, 0.1))
def test_calls_of_different_kinds_are_not_compared(fast_s: float, slow_s: float) -> None:
    """A slow kind of call that takes what it takes in calm is no congestion."""
    assume(slow_s > 2 * fast_s)
    play = Play(initial=16)
    for _ in range(30):
        play.call(fast_s, 1, "start")

    for _ in range(30):
        play.call(slow_s, 1, "submit")

    before = play.limit.limit
    for _ in range(2 * before):
        play.call(slow_s, before, "submit")

    assert play.limit.limit >= before


def test_a_kind_never_seen_in_calm_makes_it_look() -> None:
    """For as many calls as it takes; then it goes on from where it was."""
    play = Play(initial=16)
    play.look()
    for _ in range(32):
        play.call(1.0, 16, "submit")

    assert play.limit.limit == 3

    for _ in range(30):
        play.call(1.0, 1, "submit")

    assert play.limit.limit == 16


def test_it_looks_again_what_a_call_takes_in_calm() -> None:
    """Every half a minute, unless there was calm anyway."""
    play = Play(initial=16)
    play.look()
    play.round(0.1)

    assert play.limit.limit > 3

    play.now += 30
    play.round(0.1)

    assert play.limit.limit == 3

    play.look()

    assert play.limit.limit > 3

    for _ in range(4):
        play.now += 10
        play.look()

    play.round(0.1)

    assert play.limit.limit > 3


def test_with_slow_calls_it_looks_seldom() -> None:
    """It spends a fiftieth of its time on it."""
    play = Play(initial=16)
    for _ in range(30):
        play.call(2.0, 1)

    play.now += 2000
    play.round(2.0)

    assert play.limit.limit > 3

    play.now += 1000
    play.round(2.0)

    assert play.limit.limit == 3


def test_now_and_then_a_calm_call_is_not_enough() -> None:
    """A base is made of many; one of them a minute would make it an old one."""
    play = Play(initial=16)
    play.look()
    for _ in range(4):
        play.now += 10
        play.call(BASE_S, 1)
    play.round(0.1)
    assert play.limit.limit == 3
