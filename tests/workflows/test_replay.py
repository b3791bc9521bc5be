"""Runs of an earlier release continue under this one: every recorded history replays."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests import histories
from tests.releases.next_release import NextSignInWorkflow, NextVerifyOTPWorkflow
from utils.temporal.workers import sandbox
from workflows.sign_in import SignInWorkflow
from workflows.verify_otp import VerifyOTPWorkflow

HISTORIES = sorted(Path(histories.__path__[0]).glob("*/*.json"))


async def replay(text: str, workflows: Sequence[type] = (SignInWorkflow, VerifyOTPWorkflow)) -> None:
    """Replay a recorded history, with the current workflows by default."""
    recorded = json.loads(text)
    replayer = Replayer(
        workflows=workflows,
        workflow_runner=sandbox(),
        data_converter=pydantic_data_converter,
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(recorded["workflow_id"], recorded["history"]))


def test_both_workflows_have_recorded_histories() -> None:
    """Among them is each way in which a mailbox or a request can take another turn."""
    names = {path.stem for path in HISTORIES}
    assert {
        "accepted",
        "left_to_mailbox",
        "rejected_challenge_failed",
        "mailbox_succeeded",
        "mailbox_first_run",
        "mailbox_limits_cleared",
        "mailbox_flooded",
        "mailbox_compared_durably",
        "mailbox_rejected_through_the_mailbox",
        "mailbox_search_attributes",
    } <= names
    assert len(names) >= 23


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_history_does_not_reveal_where_it_was_recorded(path: Path) -> None:
    """It contains no identity and no path of the machine."""
    text = path.read_text()
    assert '"identity"' not in text and '"stackTrace"' not in text and "/site-packages/" not in text


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_recorded_history_replays(path: Path) -> None:
    """The workflows give the same commands in the same order."""
    await replay(path.read_text())


@pytest.mark.parametrize(
    ("name", "activity"),
    [("accepted", "validate_email_activity"), ("mailbox_succeeded", "send_email_activity")],
)
async def test_a_history_that_does_not_match_fails_to_replay(name: str, activity: str) -> None:
    """A renamed activity is noticed in both workflows."""
    (text,) = (path.read_text() for path in HISTORIES if path.stem == name)
    changed = json.loads(text, object_hook=lambda item: _renamed(item, activity))
    with pytest.raises(NondeterminismError):
        await replay(json.dumps(changed))


@pytest.mark.parametrize("name", ["accepted", "mailbox_succeeded"])
async def test_the_fixture_release_cannot_replay_ours(name: str) -> None:
    """So the test of two releases would notice if one served what the other began."""
    (text,) = (path.read_text() for path in HISTORIES if path.stem == name)
    with pytest.raises(NondeterminismError):
        await replay(text, (NextSignInWorkflow, NextVerifyOTPWorkflow))


def _renamed(item: dict[str, Any], activity: str) -> dict[str, Any]:
    """Rename an activity, both in its name and in the marker of a local activity."""
    if item.get("name") == activity:
        return {"name": "another_activity"}
    data = item.get("data")
    if isinstance(data, str) and activity in (text := base64.b64decode(data).decode(errors="replace")):
        return item | {"data": base64.b64encode(text.replace(activity, "another_activity").encode()).decode()}
    return item
