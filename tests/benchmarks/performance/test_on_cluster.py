"""How the benchmark measures and reports what it found on Temporal as it runs in production."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil  # type: ignore[import-untyped]  # has no types
import pytest

from deploy.local.servers.postgres import LocalPostgres
from tests.benchmarks.performance import __main__ as command
from tests.benchmarks.performance import report
from tests.benchmarks.performance.arena import DATABASE, SERVER, WORKER, Turn
from tests.benchmarks.performance.figures import CLUSTER_TARGETS, TARGETS, Figure
from tests.benchmarks.performance.meters import Cost, Family, Meters, Reading, database_counts
from tests.benchmarks.performance.pacing import LoadResult
from tests.benchmarks.performance.report import write
from tests.benchmarks.performance.rounds import ratios_at_a_pace, summary
from tests.benchmarks.performance.test_performance import one_way

_BUSY = "sum(range(20_000_000))"


def turn(server: float, database: float | None) -> Turn:
    """Return a turn with this CPU."""
    cpu_ms = {SERVER: server, WORKER: 10.0, "broker": 1.0}
    counts = {"wal_bytes": 1_000.0} if database else {}
    if database:
        cpu_ms[DATABASE] = database

    cost = Cost(cpu_ms, {}, {WORKER: 100.0}, counts)
    return Turn(LoadResult(elapsed_s=1, signins=1, failures=[]), cost, 1)


@pytest.mark.parametrize(("database", "ratio"), [(30.0, 1.25), (None, 2.0)])
def test_the_database_is_part_of_the_servers_cpu(database: float | None, ratio: float) -> None:
    """P1 compares the CPU of the services and of their database together."""
    ours = [turn(20.0, database)]
    floor = [turn(10.0, database)]
    figure = ratios_at_a_pace({"ours": ours, "floor": floor, "usual": ours})["P1"]

    assert figure.values == [ratio]
    assert figure.notes["ours, ms"] == 20.0 + (database or 0.0)


def test_a_way_tells_what_it_wrote_to_the_database() -> None:
    """The summary has the database's counts on a cluster, and none on the dev server."""
    assert summary([turn(1.0, 2.0)])["database"]["wal_bytes"]["value"] == 1_000
    assert "database" not in summary([turn(1.0, None)])


def test_figures_of_both_servers_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on the cluster keeps the dev server's figures, and the page shows both in one row, each with its target."""
    write({"P1": Figure([1.2]), "P9": Figure([30_000])}, {"ours": one_way(40)}, {}, tmp_path)
    counts = {name: {"value": 70_000, "spread": [6.0, 8.0]} for name in ("transactions", "rows_written", "wal_bytes")}
    ways = {"ours": {**one_way(60), "database": counts}}
    ways["ours"]["cpu_ms_per_signin"]["database"] = {"value": 25, "spread": [24, 26]}
    monkeypatch.setattr(report, "postgres_version", lambda: "16.3")
    write({"P1": Figure([1.1])}, ways, {"busy_before_percent": 3}, tmp_path, on_cluster=True)

    known = json.loads((tmp_path / "performance.json").read_text())
    page = (tmp_path / "performance.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| P1 |") and "| 1.1 |" in line)

    assert (known["P1"]["value"], known["cluster"]["P1"]["value"]) == (1.2, 1.1)
    assert known["cluster"]["P1"]["machine"]["postgresql"] == "16.3"
    assert "| 1.2 | at most 1.15 | 1.1 | at most 1.15 |" in row
    assert "| CPU ms, PostgreSQL | 25 (24 … 26) |" in page
    assert "| bytes of PostgreSQL's log (WAL) | 70000 (6 … 8) |" in page
    assert "other processes used 3 % of the CPU" in page


def test_a_page_without_a_cluster_does_not_mention_it(tmp_path: Path) -> None:
    """Before the first run on it, the page is what it was."""
    write({"P1": Figure([1.2])}, {"ours": one_way(40)}, {}, tmp_path)
    assert "As in production" not in (tmp_path / "performance.md").read_text()


def test_the_cluster_has_targets_of_its_own() -> None:
    """Each is one of the dev server's figures with another bound, on the same side."""
    sides = {target.name: target.side for target in TARGETS}
    assert all(sides[target.name] == target.side for target in CLUSTER_TARGETS)
    assert {"P1", "P2", "P3", "P4", "P6"} <= {target.name for target in CLUSTER_TARGETS}


def test_many_waiting_people_are_measured_on_the_dev_server_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--cluster`` with ``--scale`` is a usage error, reported before anything is measured."""
    monkeypatch.setattr(sys, "argv", ["performance", "--cluster", "--scale"])
    with pytest.raises(SystemExit) as refused:
        command.main()
    assert refused.value.code == 2
    assert "leave out --cluster" in capsys.readouterr().err


def test_a_family_includes_children_that_have_ended() -> None:
    """PostgreSQL has a process for each connection; its CPU counts after the connection has gone, too."""
    parent = psutil.Process()
    family = Family(parent)
    before = family.cpu_s()
    alone = parent.cpu_times()

    child = subprocess.run([sys.executable, "-c", _BUSY], check=True)
    after = parent.cpu_times()
    own = after.user + after.system - alone.user - alone.system

    assert child.returncode == 0
    assert family.cpu_s() - before > own + 0.05


def test_a_cost_is_what_the_counts_rose_by() -> None:
    """The database's counts are divided by the number of sign-ins, like everything else."""
    database = SimpleNamespace(query=lambda _: [["30", "20", "900"]])
    counts = database_counts(cast(LocalPostgres, database))
    before = Reading({}, Counter(), {"transactions": 10.0})
    after = Reading({}, Counter(), {"transactions": counts["transactions"]})

    assert counts == {"transactions": 30, "rows_written": 20, "wal_bytes": 900}
    assert Meters({}, "").cost(before, after, 10).database == {"transactions": 2.0}
