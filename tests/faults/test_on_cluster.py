"""Which cases run on Temporal as it runs in production, and which of them are reported. Nothing is started."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.faults import __main__ as command
from tests.faults.audit import Audit
from tests.faults.case import Case, Finding
from tests.faults.programme import CASES, CLUSTER_CASES
from tests.faults.report import rendered


class Programme:
    """What the command did: the stacks that it started, the cases that it ran on the last one, and those reported."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ran: list[tuple[str, bool]] = []
        self.reported: list[str] = []
        self._patch = patch
        patch.setattr(command, "running_servers", self._running_servers)
        patch.setattr(command, "run", self._run)
        patch.setattr(command, "write", lambda findings, _: self.reported.extend(one.name for one in findings))

    def call(self, *arguments: str) -> int:
        """Call the command; return its exit code."""
        self._patch.setattr(sys, "argv", ["faults", *arguments])
        return command.main()

    @asynccontextmanager
    async def _running_servers(self, brokers: int, *, on_cluster: bool) -> AsyncIterator[bool]:
        yield on_cluster

    async def _run(self, case: Case, servers: Any, _: Any) -> Finding:
        self.ran.append((case.name, servers))
        return finding(case.name)


def finding(name: str) -> Finding:
    """Return a finding without problems."""
    return Finding(name, "a fault", "seen", 1, 1.0, 1, 1.0, Audit(), [])


@pytest.fixture
def programme(monkeypatch: pytest.MonkeyPatch) -> Programme:
    """Give a programme that starts nothing."""
    return Programme(monkeypatch)


def test_without_the_option_nothing_has_to_be_built(programme: Programme) -> None:
    """All cases of the dev server run on it, and are reported."""
    assert programme.call() == 0
    assert sorted(programme.ran) == sorted((case.name, False) for case in CASES)
    assert len(programme.reported) == len(CASES)


def test_the_cluster_has_cases_of_its_own(programme: Programme) -> None:
    """Its database and its history service are killed there only; both are reported."""
    assert programme.call("--cluster") == 0
    assert programme.ran == [("database-killed", True), ("history-service-killed", True)]
    assert programme.reported == [case.name for case in CLUSTER_CASES]


def test_a_case_that_needs_the_cluster_gets_it(programme: Programme) -> None:
    """Naming the case is enough."""
    programme.call("--case", "database-killed", "--case", "temporal-killed")
    assert programme.ran == [("temporal-killed", False), ("database-killed", True)]


def test_other_cases_on_the_cluster_are_not_reported(programme: Programme) -> None:
    """The page has one row for each case; that of another server must not replace it."""
    programme.call("--cluster", "--case", "temporal-killed")
    assert programme.ran == [("temporal-killed", True)]
    assert not programme.reported


@pytest.mark.parametrize(("name", "is_named"), [("database-killed", True), ("temporal-killed", False)])
def test_the_page_says_which_cases_ran_on_the_cluster(name: str, is_named: bool) -> None:
    """Without any, the page does not mention it."""
    run = {"on": "2026-11-27", "scale": "full", "versions": "Kafka"}
    page = rendered({name: {**run, **finding(name).as_json()}})
    assert ("PostgreSQL" in page) is is_named
