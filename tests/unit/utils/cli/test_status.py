"""The command ``signin-worker status``, and what it reads of a worker."""

import json
import os

import pytest
import typer
from typer.testing import CliRunner

from schemas.status import Status
from utils.cli.status import status
from tests.fakes.wiring import FakeWiring
from tests.docs.screen_samples import STATUS
from utils.prometheus import Metrics
from utils.status import worker_page
from utils.wiring import ReadStatus


def run(wiring: FakeWiring, *arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and all that it prints."""
    cli = typer.Typer()
    cli.command()(status)
    result = CliRunner().invoke(cli, arguments, obj=wiring)

    return result.exit_code, result.output


def wired(status: Status = STATUS) -> FakeWiring:
    """Return a wiring that reads this status."""
    wiring = FakeWiring()
    wiring.fake_status = status
    return wiring


class WatchedThreeTimes(FakeWiring):
    """Reads the status until Ctrl-C is pressed at the third time."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def status_reader(self) -> ReadStatus:
        """Return what reads, and counts."""

        async def read() -> Status:
            self.reads += 1
            if self.reads == 3:
                raise KeyboardInterrupt
            return STATUS

        return read


def test_everything_is_shown() -> None:
    """Where each partition is, how many wait, what this worker does."""
    code, said = run(wired())
    assert code == 0
    assert "signin.requested/1   48308       48296    12   1 min 35 s" in said
    assert "212" in said and "breaker open" in said and "not ready" in said


def test_as_json_it_is_one_object() -> None:
    """Numbers as numbers, times in RFC 3339."""
    _, said = run(wired(), "--json")
    shown = json.loads(said)

    assert shown["partitions"][1] == {
        "topic": "signin.requested",
        "partition": 1,
        "end": 48308,
        "committed": 48296,
        "lag": 12,
        "oldest": "2026-11-25T08:58:25Z",
    }


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_watching_looks_again_until_ctrl_c(monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    """``--watch`` reads the status again and again; Ctrl-C ends it with 0."""
    monkeypatch.setattr("utils.cli.status.REFRESH_S", 0.01)
    wiring = WatchedThreeTimes()
    code, output = run(wiring, "--watch", *options)

    assert (code, wiring.reads) == (0, 3)
    assert output.count("48308") >= 2


@pytest.mark.parametrize(("who", "code"), [("Kafka", os.EX_UNAVAILABLE), ("Temporal", 69), ("worker", 0)])
def test_who_is_away_is_told_and_the_rest_is_shown(who: str, code: int) -> None:
    """Without a worker all the rest is still true."""
    ended, said = run(wired(STATUS.model_copy(update={"away": {who: "ConnectError"}})))
    assert ended == code
    assert "ConnectError" in said and "all" in said


def test_a_worker_of_now_is_read() -> None:
    """Under the names that it exports."""
    metrics = Metrics()
    metrics.results.labels(type="otp.rejected", reason="locked").inc(3)
    metrics.results.labels(type="signin.expired", reason="").inc()
    metrics.mails.labels(outcome="accepted").inc(2)
    page = worker_page(("Kafka",), metrics.exposition().decode())

    assert page.missing == ("Kafka",)
    assert page.results == {"otp.rejected locked": 3, "signin.expired": 1}
    assert page.mails["accepted"] == 2
    assert (page.in_flight, page.breaker_open, page.rebuilds) == (0, False, 0)
