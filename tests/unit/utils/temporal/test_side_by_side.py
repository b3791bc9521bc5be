"""The checks of a request are told together."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from utils.temporal.side_by_side import SideBySide

QUICK = "generate_otp_activity"
SLOW = "verify_turnstile_activity"


class Runs:
    """Runs activities under one interceptor, and notes the order in which they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._together = SideBySide()

    async def run(self, kind: str, work: Callable[[], Awaitable[object]], *, is_local: bool = True) -> None:
        """Run an activity of the one workflow."""
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, activity_type=kind, is_local=is_local, workflow_run_id="run")
        nothing: Any = None
        check = self._together.intercept_activity(_Work(work))
        await environment.run(check.execute_activity, nothing)
        self.told.append(kind)


class _Work(ActivityInboundInterceptor):
    def __init__(self, work: Callable[[], Awaitable[object]]) -> None:
        self._work = work

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        """Do the work."""
        return await self._work()


async def at_once() -> None:
    """Take no time."""


async def test_a_quick_check_is_told_with_the_slow_one() -> None:
    """So the workflow is called once for both."""
    runs = Runs()
    siteverify = asyncio.Event()
    slow = asyncio.create_task(runs.run(SLOW, siteverify.wait))
    quick = asyncio.create_task(runs.run(QUICK, at_once))
    await asyncio.sleep(0)

    assert runs.told == []

    siteverify.set()
    await asyncio.gather(slow, quick)

    assert runs.told == [SLOW, QUICK]


@pytest.mark.parametrize("is_local", [True, False])
async def test_nothing_waits_for_a_check_that_has_ended(is_local: bool) -> None:
    """Nor does a normal activity wait: each has its own task."""
    runs = Runs()
    if is_local:
        await runs.run(SLOW, at_once)
    await runs.run(QUICK, at_once, is_local=is_local)

    assert runs.told[-1] == QUICK


async def test_a_quick_check_has_its_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local activity has a second, however long siteverify takes."""
    monkeypatch.setattr("utils.temporal.side_by_side._HOLD_S", 0.01)
    runs = Runs()
    slow = asyncio.create_task(runs.run(SLOW, asyncio.Event().wait))
    await runs.run(QUICK, at_once)

    assert runs.told == [QUICK]

    slow.cancel()


async def test_a_failed_check_is_told_at_once() -> None:
    """The others go on."""

    async def fail() -> None:
        raise ValueError

    runs = Runs()
    with pytest.raises(ValueError):
        await runs.run(QUICK, fail)
    with pytest.raises(ValueError):
        await runs.run(SLOW, fail)
    await runs.run(QUICK, at_once)

    assert runs.told == [QUICK]
