"""The capacity model follows from what one sign-in costs."""

import pytest

from tests.benchmarks.performance import capacity
from tests.benchmarks.performance.test_performance import one_way


@pytest.mark.parametrize(("rate", "workers", "history_shards"), [(10, 2, 4), (1_000, 67, 512), (10_000, 667, 4_096)])
def test_capacity_follows_from_the_cost_of_one_sign_in(rate: int, workers: int, history_shards: int) -> None:
    """At 40 ms of CPU and 60 % of a core, a process handles 15 sign-ins a second; there are at least two processes."""
    assert capacity.processes(40, rate) == workers
    assert capacity.shards(rate) == history_shards
    assert 6 * rate / history_shards < 20, "people would wait because of the limit of a shard"


def test_capacity_says_what_a_million_sign_ins_cost() -> None:
    """Actions at list price; CPU, history and, where it was measured, what the database wrote."""
    ours = one_way(36)
    database = {name: {"value": 200.0} for name in ("transactions", "rows_written", "wal_bytes")}
    cpu = ours["cpu_ms_per_signin"] | {"database": {"value": 18.0}}
    on_cluster = {"ways": {"ours": ours | {"database": database, "cpu_ms_per_signin": cpu}}}
    page = capacity.rendered({"ways": {"ours": ours}, "cluster": on_cluster})

    assert "| 8 million | 400 |" in page
    assert "| hours of a core, PostgreSQL | 5.0 |" in page
    assert "| rows written | 200 million |" in page
    assert "| on PostgreSQL | not measured yet" in capacity.rendered({"ways": {"ours": ours}})


def test_capacity_is_planned_by_what_a_sign_in_costs_in_production() -> None:
    """A cluster with its database takes more than the dev server, and given traffic more than a crowd."""
    measured = {"ways": {"ours": one_way(30)}}
    p1, p2 = ({"notes": {"ours, ms": ms}} for ms in (108.0, 45.0))
    page = capacity.rendered(measured | {"cluster": measured | {"P1": p1, "P2": p2}})

    assert "| Temporal with its database, cores | 18 | 180 | 1,800 |" in page
    assert "| worker processes, one core each | 8 | 75 | 750 |" in page
    assert "Each handles 13 sign-ins per second at 60 % of a core, with 45 ms" in page
    assert "| Temporal with its database, cores | 5 | 50 | 500 |" in capacity.rendered(measured)
