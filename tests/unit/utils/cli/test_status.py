"""The command ``signin-worker status``, and what it reads from a worker's metrics."""

import json
import os

import pytest

from schemas.status import Status
from tests.docs.screen_samples import STATUS
from tests.fakes.wiring import FakeWiring, invoke
from utils.cli.status import status
from utils.prometheus import Metrics
from utils.status import worker_page
from utils.wiring import ReadStatus


def run(found: Status, *arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and all that it prints."""
    wiring = FakeWiring()
    wiring.fake_status = found
    return invoke(status, wiring, *arguments)


def test_the_screen_shows_partitions_workflows_and_the_worker() -> None:
    """It shows the lag of each partition, how many sign-ins wait, and the state of the worker."""
    code, output = run(STATUS)
    assert code == 0
    assert "signin.requested/1   48308       48296    12   1 min 35 s" in output
    assert "212" in output and "breaker open" in output and "not ready" in output


def test_json_is_one_object() -> None:
    """Numbers are numbers, and times are in RFC 3339."""
    _, output = run(STATUS, "--json")
    shown = json.loads(output)

    assert shown["partitions"][1] == {
        "topic": "signin.requested",
        "partition": 1,
        "end": 48308,
        "committed": 48296,
        "lag": 12,
        "oldest": "2026-11-25T08:58:25Z",
        "behind_open_transaction": 0,
    }


class WatchedThreeTimes(FakeWiring):
    """Has a status that is read until Ctrl-C is pressed during the third read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def status_reader(self) -> ReadStatus:
        """Return a reader that counts its reads."""

        async def read() -> Status:
            self.reads += 1
            if self.reads == 3:
                raise KeyboardInterrupt
            return STATUS

        return read


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_watch_reads_the_status_until_ctrl_c(monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    """Ctrl-C is the way to end it, so the exit code is 0."""
    monkeypatch.setattr("utils.cli.status.REFRESH_S", 0.01)
    wiring = WatchedThreeTimes()
    code, output = invoke(status, wiring, "--watch", *options)

    assert (code, wiring.reads) == (0, 3)
    assert output.count("48308") >= 2


@pytest.mark.parametrize(("source", "code"), [("Kafka", os.EX_UNAVAILABLE), ("Temporal", 69), ("worker", 0)])
def test_a_source_that_is_away_is_named_and_the_rest_is_shown(source: str, code: int) -> None:
    """The exit code is 69 without Kafka or Temporal, and 0 without a worker."""
    ended, output = run(STATUS.model_copy(update={"away": {source: "ConnectError"}}))
    assert ended == code
    assert "ConnectError" in output and "all" in output


def test_topics_that_nobody_sees_are_named() -> None:
    """Without a line in the table, a missing topic would look like one without a lag."""
    _, output = run(STATUS.model_copy(update={"partitions": (), "unseen": ("signin.requested",)}))
    assert "signin.requested: no partition is seen" in output


def test_a_workers_metrics_are_read() -> None:
    """The names that are read are those that a worker exports."""
    metrics = Metrics()
    metrics.results.labels(type="otp.rejected", reason="locked").inc(3)
    metrics.results.labels(type="signin.expired", reason="").inc()
    metrics.mails.labels(outcome="accepted").inc(2)
    page = worker_page(("Kafka",), metrics.exposition().decode())

    assert page.missing == ("Kafka",)
    assert page.results == {"otp.rejected locked": 3, "signin.expired": 1}
    assert page.mails["accepted"] == 2
    assert (page.in_flight, page.breaker_open, page.rebuilds) == (0, False, 0)
