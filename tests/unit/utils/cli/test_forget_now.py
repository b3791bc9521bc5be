"""``signin-worker forget --now``: a worker gives the budgets back first, so its audit trail has the erasure, too."""

import json
import logging

import pytest

from activities.errors import TemporalUnavailable
from schemas.limits import Clearing, LimitsReport
from tests.fakes.erasure import FakeErasure
from tests.fakes.wiring import FakeWiring
from tests.unit.utils.cli.test_forget import ADA, NEW_REQUEST, OLD_RUN, OPEN_RUN, run

NOW_AS_GRACE = (ADA, "--yes", "--now", "--operator", "grace")


async def unanswered(_mailbox: str, _clearing: Clearing) -> LimitsReport | None:
    """Do as a mailbox without workers does."""
    raise TemporalUnavailable


def test_a_worker_gives_the_budgets_back_before_anything_is_deleted(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring
) -> None:
    """Its line in the workers' log is written where the operator of the command cannot drop it."""
    erasure = FakeErasure(NEW_REQUEST, OPEN_RUN)
    delete = erasure.delete
    cleared_before: list[int] = []

    async def look_first(runs: tuple[object, ...]) -> tuple[object, ...]:
        cleared_before.append(len(wiring.fake_limits.cleared))
        return await delete(runs)  # type: ignore[arg-type]  # runs, as the fake holds them

    monkeypatch.setattr(erasure, "delete", look_first)

    code, _ = run(monkeypatch, wiring, erasure, *NOW_AS_GRACE)

    assert (code, cleared_before) == (0, [1])

    [(mailbox, clearing)] = wiring.fake_limits.cleared
    assert [mailbox] == [asked for asked, _ in erasure.asked[:1]]
    assert (clearing.operator, clearing.masked) == ("grace", "a***@e***.com")
    assert (clearing.mails, clearing.failures) == (True, True)


@pytest.mark.parametrize(("held", "arguments"), [((OPEN_RUN,), ()), ((OLD_RUN,), ("--now",))])
def test_nothing_is_given_back_that_stays_or_is_closed(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring, held: tuple[object, ...], arguments: tuple[str, ...]
) -> None:
    """Without ``--now`` an open mailbox keeps its limits; a closed one has none."""
    run(monkeypatch, wiring, FakeErasure(*held), ADA, "--yes", *arguments)  # type: ignore[arg-type]  # as above
    assert wiring.fake_limits.cleared == []


def test_without_workers_the_erasure_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits for their erasure until a worker is back. The command's own line is then the only one."""
    monkeypatch.setattr(wiring.fake_limits, "clear", unanswered)
    erasure = FakeErasure(OPEN_RUN)

    with caplog.at_level(logging.INFO, logger="audit"):
        code, output = run(monkeypatch, wiring, erasure, *NOW_AS_GRACE)

    assert (code, erasure.deleted) == (0, [OPEN_RUN])
    assert "No worker answered" in output and "keep it" in output
    assert [vars(record)["limits_lost"] for record in caplog.records if record.name == "audit"] == [True]


@pytest.mark.parametrize(("answers", "recorded"), [(True, True), (False, False)])
def test_programs_are_told_whether_a_worker_recorded_it(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring, answers: bool, recorded: bool
) -> None:
    """A job that erases can alarm somebody about the missing line."""
    if not answers:
        monkeypatch.setattr(wiring.fake_limits, "clear", unanswered)

    _, output = run(monkeypatch, wiring, FakeErasure(OPEN_RUN), *NOW_AS_GRACE, "--json")

    assert json.loads(output.splitlines()[0])["recorded_by_worker"] is recorded
