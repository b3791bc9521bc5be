"""The command ``signin-worker status``, and what it reads of a worker."""

import asyncio
import json
import os
from collections.abc import Coroutine
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from schemas.status import Status
from utils.cli.status import StatusCommand
from tests.docs.standing_screens import STANDING
from utils.prometheus import Metrics
from utils.status import worker_page


def run(standing: Status, *arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and all that it said."""

    async def look() -> Status:
        return standing

    def carry_out(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)

    cli = typer.Typer()
    StatusCommand(lambda: look, carry_out).add_to(cli)
    result = CliRunner().invoke(cli, list(arguments))

    return result.exit_code, result.output


def test_everything_is_shown() -> None:
    """Where each partition is, how many wait, what this worker does."""
    code, said = run(STANDING)
    assert code == 0
    assert "signin.requested/1   48308       48296    12   1 min 35 s" in said
    assert "212" in said and "breaker open" in said and "not ready" in said


def test_as_json_it_is_one_object() -> None:
    """Numbers as numbers, times in RFC 3339."""
    _, said = run(STANDING, "--json")
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
def test_watching_looks_again_until_ctrl_c(options: list[str]) -> None:
    """Then it ends with 0, as it was asked to."""
    looks = 0

    async def look() -> Status:
        nonlocal looks
        looks += 1
        if looks > 2:
            raise KeyboardInterrupt
        return STANDING

    def carry_out(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)

    cli = typer.Typer()
    StatusCommand(lambda: look, carry_out, every_s=0.01).add_to(cli)
    result = CliRunner().invoke(cli, ["--watch", *options])

    assert (result.exit_code, looks) == (0, 3)
    assert result.output.count("48308") >= 2


@pytest.mark.parametrize(("who", "code"), [("Kafka", os.EX_UNAVAILABLE), ("Temporal", 69), ("worker", 0)])
def test_who_is_away_is_told_and_the_rest_is_shown(who: str, code: int) -> None:
    """Without a worker all the rest is still true."""
    ended, said = run(STANDING.model_copy(update={"away": {who: "ConnectError"}}))
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
