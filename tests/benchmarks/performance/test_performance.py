"""How the benchmark evaluates and reports its measurements. Nothing is measured here."""

import asyncio
import json
import sys
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiosmtplib
import pytest
from aiokafka.errors import NotLeaderForPartitionError
from pydantic import ValidationError
from temporalio.service import RPCError, RPCStatusCode

from deploy.local.places import StackError
from deploy.local.processes import Child
from schemas.policy import OtpPolicy
from tests.benchmarks.performance import __main__ as command
from tests.benchmarks.performance import report
from tests.benchmarks.performance.arena import Arena
from tests.benchmarks.performance.figures import TARGETS, Figure, Waits
from tests.benchmarks.performance.pacing import LoadResult, Seats, Visit, run_crowd
from tests.benchmarks.performance.patient import without_lifetime_limit
from tests.benchmarks.performance.programme import Measurements
from tests.benchmarks.performance.report import write
from tests.benchmarks.performance.rounds import Rounds
from tests.benchmarks.performance.scaling import Load, leave_waiting
from tests.benchmarks.performance.world import QuickMailServer
from tests.faults.versions import commit

P1, P3 = (next(target for target in TARGETS if target.name == name) for name in ("P1", "P3"))


def one_way(cpu_ms: float) -> dict[str, Any]:
    """Return the data of one way, as a run produces it."""
    shown = {"value": cpu_ms, "spread": [cpu_ms - 1, cpu_ms + 1]}
    waits = {"p50": 1.0, "p99": 2.0}
    load = {"signins_per_s": 3.0, "request_to_mail_ms": waits, "submit_to_result_ms": waits}

    return {
        "signins_per_s": shown,
        "cpu_ms_per_signin": {"server": shown, "worker": shown, "broker": shown},
        "idle_cpu_ms_per_s": {"worker": 10.0},
        "history_events": 40,
        "history_bytes": 9_792,
        "workflow_tasks": 6,
        "grpc_calls": shown,
        "worker_memory_mib": 100,
        "signins_measured": 10,
        "not_through": 0,
        "waits": {"at_20%": load},
    }


def test_a_figure_is_the_median_of_its_rounds() -> None:
    """A figure has the median of its rounds, with the lowest and highest value and the number of rounds."""
    member = Figure([1.9, 1.0, 1.1]).as_json(P1)

    assert member["value"] == 1.1
    assert member["spread"] == [1.0, 1.9]
    assert member["rounds"] == 3
    assert member["met"]


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [(P1, P1.bound + 0.01, False), (P1, P1.bound, True), (P3, P3.bound - 0.01, False), (P3, P3.bound, True)],
)
def test_a_target_is_met_on_its_own_side(target: Any, value: float, met: bool) -> None:
    """A cost must be at most its target, a rate at least."""
    assert Figure([value]).as_json(target)["met"] is met


def test_waits_are_reported_in_milliseconds() -> None:
    """The report has the median and the 99th percentile, in milliseconds."""
    waits = Waits.of([0.01] * 98 + [0.5] * 2)
    assert (waits.p50, waits.p99) == (10, 500)


def test_the_rate_counts_complete_sign_ins() -> None:
    """The rate is the number of sign-ins without failures, divided by the whole duration of the load."""
    assert LoadResult(elapsed_s=10, signins=30, failures=["no mail"] * 5).per_s == 2.5


@pytest.mark.parametrize(("seconds", "rounds"), [(60, [1, 2, 3, 4, 5]), (0, [1, 2, 3])])
def test_a_slow_machine_runs_fewer_rounds(seconds: float, rounds: list[int]) -> None:
    """After the time limit no round starts, but there are at least three, enough for a median."""
    assert list(Rounds(5, seconds)) == rounds


async def test_people_who_return_are_served_before_new_ones() -> None:
    """A free seat goes to somebody who returns from thinking, even if a new person has waited longer."""
    seats = Seats(1)
    served = list[str]()

    async def sit(name: str, returning: bool) -> None:
        async with seats.seat(returning=returning):
            served.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(sit("first", False), sit("new", False), sit("returning", True))

    assert served == ["first", "returning", "new"]


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (TimeoutError("no mail"), "no mail"),
        (NotLeaderForPartitionError(), "[Error 6] NotLeaderForPartitionError"),
        (RPCError("away", RPCStatusCode.UNAVAILABLE, b""), "away"),
    ],
)
async def test_failed_sign_ins_are_counted(error: Exception, failure: str) -> None:
    """One person's failure is recorded and does not end the load."""

    async def person(visit: Visit) -> None:
        raise error

    result = await run_crowd(person, 2, 1)
    assert result.failures == [failure, failure]


async def test_the_quick_mail_server_hands_over_the_code() -> None:
    """A person who waits for a mail gets the code in it, once the server has accepted the mail."""
    mail = EmailMessage()
    mail["From"] = "worker@ok.example"
    mail["To"] = "ada@ok.example"
    mail.set_content("Your code:\n\n12345678\n")
    server = QuickMailServer()
    server.codes["ada@ok.example"] = code = asyncio.get_running_loop().create_future()

    await server.start()
    try:
        await aiosmtplib.send(mail, hostname=server.host, port=server.port)
        async with asyncio.timeout(20):
            assert await code == "12345678"
    finally:
        await server.stop()


def test_a_run_keeps_the_figures_of_other_runs(tmp_path: Path) -> None:
    """``make bench-scale`` adds its figures to those that ``make bench`` wrote."""
    folder = tmp_path / "made by the run"
    ways = {"floor": one_way(20), "ours": one_way(40), "usual": one_way(60)}
    write({"P1": Figure([1.2])}, ways, {}, folder)
    write({"P8": Figure([2.7])}, {}, {}, folder)
    known = json.loads((folder / "performance.json").read_text())

    assert known["P1"]["value"] == 1.2
    assert known["P8"]["value"] == 2.7
    assert list(known["ways"]) == list(ways)

    document = (folder / "performance.md").read_text()

    assert all(f"| {name} |" in document for name in ("P1", "P8"))
    assert "the usual way" in (folder / "performance.svg").read_text()
    assert "| worker processes, one core each | 7 | 67 | 667 |" in (folder / "capacity.md").read_text()


def test_each_figure_names_the_machine_it_was_measured_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Figures keep the machine they were measured on; if that is the same for all, the page names it once."""
    first = report.machine()
    write({"P1": Figure([1.2]), "P3": Figure([0.7])}, {}, {}, tmp_path)
    document = tmp_path / "performance.md"

    assert document.read_text().count(f"{first['cores']} cores ({first['cpu']})") == 1
    assert f"commit {commit()}, Kafka" in document.read_text()
    monkeypatch.setattr(report, "machine", lambda: {**first, "cpu": "another", "cores": 64})
    write({"P3": Figure([0.8])}, {}, {}, tmp_path)

    assert f"* P1: {first['cores']} cores ({first['cpu']})" in document.read_text()
    assert "* P3: 64 cores (another)" in document.read_text()
    assert "Temporal with" not in document.read_text()

    write({"P1": Figure([1.1])}, {}, {}, tmp_path, {"history.transferProcessorMaxPollRPS": "1000"})
    (line,) = (line for line in document.read_text().splitlines() if line.startswith("* P1: "))

    assert line.endswith("Temporal with `history.transferProcessorMaxPollRPS=1000`.")


@pytest.mark.parametrize("text", ["history.rps", "=1", "history.rps=", ""])
def test_an_incomplete_setting_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--setting`` without a name or value is a usage error, reported before anything is measured."""
    monkeypatch.setattr(sys, "argv", ["performance", "--setting", text])
    with pytest.raises(SystemExit) as refused:
        command.main()
    assert refused.value.code == 2
    assert f"{text!r} is not NAME=VALUE" in capsys.readouterr().err


def test_only_the_limit_on_the_lifetime_of_a_code_is_lifted() -> None:
    """The patient worker keeps all other bounds, and the real command keeps this one too."""
    field = without_lifetime_limit(lambda *_, **bounds: bounds)
    assert field(300, ge=5, le=600) == {"ge": 5, "le": 86_400}
    assert field(60, gt=0, le=600) == {"gt": 0, "le": 600}
    with pytest.raises(ValidationError):
        OtpPolicy(lifetime_s=601)


@pytest.mark.parametrize("waiting", ["20000", "0", "-1"])
def test_a_number_without_a_target_is_refused(
    waiting: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any other ``--waiting`` is a usage error, reported before anything is measured."""
    monkeypatch.setattr(sys, "argv", ["performance", "--scale", "--waiting", waiting])
    with pytest.raises(SystemExit) as refused:
        command.main()
    assert refused.value.code == 2
    assert f"--waiting takes 10000 or 50000: P7 has no target for {waiting}" in capsys.readouterr().err


def arena_in_which_people_get_no_code(count: int) -> Any:
    """Return an arena in which ``count`` people get no code."""

    async def ask(*_: Any, **__: Any) -> dict[str, Any]:
        return {"failures": ["no mail"] * count, "elapsed_s": 1.0}

    return SimpleNamespace(ask_world=ask)


async def test_people_without_a_code_do_not_count_as_waiting() -> None:
    """A few people without a code are subtracted from those who wait, and logged."""
    arena = arena_in_which_people_get_no_code(100)
    log = list[str]()
    assert await leave_waiting(arena, Child("crowded"), 2_000, log.append) == 1_900
    assert "100 got no code: no mail" in log[0]


async def test_many_people_without_a_code_end_the_run() -> None:
    """If more than 5 % get no code, the run fails, since it would not measure the cost of people who wait."""
    arena = arena_in_which_people_get_no_code(101)
    with pytest.raises(StackError, match="101 of 2000 got no code: no mail"):
        await leave_waiting(arena, Child("crowded"), 2_000, lambda _: None)


@pytest.mark.parametrize("dead", ["kafka", "temporal", "worker"])
async def test_a_process_that_dies_ends_the_run(dead: str) -> None:
    """The run fails within seconds and shows the process's last output, rather than after two minutes per person."""
    children = [Child(name) for name in ("kafka", "temporal", "worker")]
    try:
        for child in children:
            code = "print('fatal error: fault')" if child.name == dead else "import time; time.sleep(60)"
            child.start([sys.executable, "-c", code])

        async def ask(*_: Any, **__: Any) -> None:
            await asyncio.sleep(60)

        servers: list[Any] = [SimpleNamespace(process=child, processes=[child]) for child in children[:2]]
        world: Any = SimpleNamespace(ask=ask)
        arena = Arena(servers[0], servers[1], world, client=cast(Any, None))
        async with asyncio.timeout(20):
            with pytest.raises(StackError, match=rf"(?s){dead} ended meanwhile.*fatal error: fault"):
                await arena.ask_world("leave_waiting", children[2])
    finally:
        for child in children:
            child.stop()


def test_an_error_that_ends_a_run_is_printed_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A ``StackError`` is printed to stderr without a traceback, and the figures measured so far are written."""

    async def dies(load: Load, found: Measurements, _: Any) -> None:
        found.figures["P8"] = Figure([2.7])
        raise StackError("temporal ended meanwhile.")

    monkeypatch.setattr(command, "_scaled", dies)
    monkeypatch.setattr(command, "_LOOK_S", 0.0)
    monkeypatch.setattr(sys, "argv", ["performance", "--scale", "--out", str(tmp_path)])

    assert command.main() == 1
    assert capsys.readouterr().err == "temporal ended meanwhile.\n"
    assert json.loads((tmp_path / "performance.json").read_text())["P8"]["value"] == 2.7
