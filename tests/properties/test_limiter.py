"""The adaptive limit under any samples: it stays within its bounds, shrinks when it must, and always recovers."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.gateway.limiter import AdaptiveLimit, Sample

BASE_S = 0.01
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["start", "submit"]),
        st.floats(0, 40),
        st.floats(0, 10),
        st.integers(1, 80),
        st.booleans(),
    ),
    max_size=200,
)
"""Kind, pause before the call, latency, concurrency, and whether the server was overloaded."""
Calls = Sequence[tuple[str, float, float, int, bool]]
BOUNDS = st.tuples(st.integers(1, 8), st.integers(1, 64)).map(sorted)


class Player:
    """Hands samples to a limit, one call after the other."""

    def __init__(self, minimum: int = 3, maximum: int = 64, initial: int = 4) -> None:
        self._limit = AdaptiveLimit(maximum, minimum, initial)
        self.now = 0.0

    @property
    def limit(self) -> int:
        """The limit now."""
        return self._limit.limit

    def call(
        self,
        latency_s: float,
        concurrency: int,
        kind: str = "start",
        overloaded: bool = False,
    ) -> None:
        """Make one call that starts now."""
        started_at = self.now
        self.now += latency_s
        self._limit.record(Sample(kind, started_at, self.now, concurrency, overloaded))

    def play(self, calls: Calls) -> None:
        """Make any calls."""
        for kind, pause_s, latency_s, concurrency, overloaded in calls:
            self.now += pause_s
            self.call(latency_s, concurrency, kind, overloaded)

    def fail_together(self, failures: int) -> None:
        """Let calls that started at the same time find the server overloaded."""
        started_at = self.now
        for number in range(failures):
            ended_at = started_at + 0.1 + number * 0.001
            self._limit.record(Sample("start", started_at, ended_at, self.limit, overloaded=True))

    def measure_base(self, latency_s: float = BASE_S, kind: str = "start") -> None:
        """Make as many calls one at a time as a base takes."""
        for _ in range(30):
            self.call(latency_s, 1, kind)

    def round(self, latency_s: float, concurrency: int | None = None, kind: str = "start") -> None:
        """Make the calls of one round, by default as many at a time as the limit allows."""
        limit = self.limit
        for _ in range(max(16, 2 * limit)):
            self.call(latency_s, limit if concurrency is None else concurrency, kind)


@given(BOUNDS, st.integers(0, 100), CALLS)
def test_it_never_leaves_its_bounds(bounds: list[int], initial: int, calls: Calls) -> None:
    """No order of calls, latencies and failures moves it out."""
    minimum, maximum = bounds
    player = Player(minimum, maximum, initial)

    for call in calls:
        assert minimum <= player.limit <= maximum
        player.play([call])

    assert minimum <= player.limit <= maximum


@given(st.integers(4, 64), st.lists(st.floats(BASE_S, 10 * BASE_S), max_size=10), st.data())
def test_it_grows_only_when_it_is_reached(limit: int, latencies: list[float], data: st.DataObject) -> None:
    """A server that is fast with three calls under way may be slow with ten."""
    player = Player(initial=limit)
    player.measure_base()

    for latency_s in latencies:
        before = player.limit
        if before <= 3:
            break

        player.round(latency_s, concurrency=data.draw(st.integers(1, before - 1)))

        assert player.limit <= before


@given(st.integers(5, 64), st.floats(6, 1000))
def test_it_shrinks_when_calls_take_far_longer_than_the_base(limit: int, slowdown: float) -> None:
    """It shrinks from any limit above the one that saturates the smallest server."""
    player = Player(initial=limit)
    player.measure_base()
    player.round(slowdown * BASE_S)
    assert player.limit < limit


@given(st.integers(3, 60))
def test_it_grows_while_calls_take_no_longer_than_the_base(limit: int) -> None:
    """Each round adds its root."""
    player = Player(initial=limit)
    player.measure_base()
    player.round(BASE_S)
    assert limit < player.limit <= limit + limit**0.5


@given(st.integers(3, 64), st.integers(1, 64))
def test_calls_that_fail_together_shrink_it_once(limit: int, failures: int) -> None:
    """They all started under the same limit."""
    player = Player(initial=limit)
    player.measure_base()
    player.fail_together(failures)
    assert player.limit == max(3, limit // 2)


@settings(max_examples=30)
@given(CALLS)
def test_it_always_recovers(calls: Calls) -> None:
    """Whatever it learned, a server that has room again gets its calls again."""
    player = Player()
    player.play(calls)
    player.now += 30_000

    for _ in range(20):
        player.measure_base()
        player.round(BASE_S)

    assert player.limit == 64


@given(st.floats(0.001, 0.04), st.floats(0.081, 0.1))
def test_calls_of_different_kinds_are_not_compared(fast_s: float, slow_s: float) -> None:
    """A slow kind of call that takes no longer than its own base is no congestion."""
    player = Player(initial=16)
    player.measure_base(fast_s, "start")
    player.measure_base(slow_s, "submit")

    before = player.limit
    player.round(slow_s, before, "submit")

    assert player.limit >= before


def test_a_kind_without_a_base_makes_it_measure_one() -> None:
    """The limit drops for as many calls as a base takes, and is then what it was."""
    player = Player(initial=16)
    player.measure_base()
    player.round(1.0, 16, "submit")

    assert player.limit == 3

    player.measure_base(1.0, "submit")

    assert player.limit == 16


def test_it_measures_the_base_every_half_minute() -> None:
    """It does not where enough calls had hardly any others beside them anyway."""
    player = Player(initial=16)
    player.measure_base()
    player.round(0.1)

    assert player.limit > 3

    player.now += 30
    player.round(0.1)

    assert player.limit == 3

    player.measure_base()

    assert player.limit > 3

    for _ in range(4):
        player.now += 10
        player.measure_base()

    player.round(0.1)

    assert player.limit > 3


def test_with_slow_calls_it_measures_the_base_seldom() -> None:
    """Measuring takes a fiftieth of the time."""
    player = Player(initial=16)
    player.measure_base(2.0)

    player.now += 2000
    player.round(2.0)

    assert player.limit > 3

    player.now += 1000
    player.round(2.0)

    assert player.limit == 3


def test_single_quiet_calls_do_not_replace_a_measurement() -> None:
    """A base takes many calls; with one now and then it would be out of date."""
    player = Player(initial=16)
    player.measure_base()

    for _ in range(4):
        player.now += 10
        player.call(BASE_S, 1)
    player.round(0.1)

    assert player.limit == 3
