"""A mailbox moves to another release by continuing as new, when it is at rest."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.bridge.proto.workflow_activation import (
    FireTimer,
    ResolveActivity,
    SignalWorkflow,
    WorkflowActivation,
    WorkflowActivationJob,
)
from temporalio.workflow import ContinueAsNewVersioningBehavior

from schemas.mailbox import MailboxInput, MailboxState
from schemas.policy import Policy
from schemas.signals import Challenge
from schemas.tasks import MailAccepted, Published
from tests.fakes.mailbox_world import ADA, HOME, START, MailboxWorld
from tests.fakes.workflow_instances import to_payload
from tests.fakes.workflow_runs import Run
from workflows.names import OPEN_OR_RESEND_SIGNAL
from workflows.rules.outbox import MAX_CARRIED_RESULTS, MAX_OVERFLOW_RESULTS
from workflows.rules.submissions import MAX_WAITING

JUST_AFTER = START + timedelta(seconds=1)
A_WHILE_AFTER = START + timedelta(seconds=5)


def challenge() -> SignalWorkflow:
    """Return the signal that opens a sign-in."""
    message = Challenge(
        signin_id="s" * 22,
        attempt=1,
        email="ada@example.com",
        account=ADA,
        requested_at=START,
        born_at=START,
        decided_at=START,
        key_id="k",
        network=HOME,
        policy=Policy(),
    )
    return SignalWorkflow(
        signal_name=OPEN_OR_RESEND_SIGNAL,
        input=[to_payload(message)],
        originating_event_id=1,
    )


class Moving:
    """A mailbox whose worker is told, or not, that another release is to serve it."""

    def __init__(self, workflow_id: str = "mailbox/m", carried: MailboxState | None = None) -> None:
        content = MailboxInput(policy=Policy(), carried=carried)
        self._run = Run(workflow_id, content, started_at=START, busy_until=START)
        self._jobs = list(self._run.pending)

    def commands(self, *jobs: WorkflowActivationJob, moves: bool, at: datetime = JUST_AFTER) -> dict[str, Any]:
        """Do a workflow task, and return its commands by kind."""
        activation = WorkflowActivation(
            run_id=self._run.run_id,
            jobs=[*self._jobs, *jobs],
            target_worker_deployment_version_changed=moves,
        )
        activation.timestamp.FromDatetime(at)
        self._jobs = []

        commands = self._run._instance.activate(activation)
        kinds = [(str(each.WhichOneof("variant")), each) for each in commands]
        return {kind: getattr(command, kind) for kind, command in kinds}

    def resolve(self, command: Any, result: Any, *, moves: bool, is_local: bool = False) -> dict[str, Any]:
        """Let an activity end well, and return the commands that follow."""
        resolved = ResolveActivity(seq=command.seq, is_local=is_local)
        resolved.result.completed.result.CopyFrom(to_payload(result))
        return self.commands(WorkflowActivationJob(resolve_activity=resolved), moves=moves)

    def sign_in(self, *, moves: bool) -> dict[str, Any]:
        """Open a sign-in, and return the commands that follow."""
        return self.commands(WorkflowActivationJob(signal_workflow=challenge()), moves=moves)


@pytest.mark.parametrize("moves", [True, False])
def test_a_mailbox_with_a_live_sign_in_moves_once_its_mail_is_out(moves: bool) -> None:
    """The code that was mailed is typed under the other release: the sign-in is carried over."""
    mailbox = Moving()
    mail = mailbox.sign_in(moves=False)["schedule_activity"]
    publication = mailbox.resolve(mail, MailAccepted(at=JUST_AFTER), moves=moves)["schedule_local_activity"]
    commands = mailbox.resolve(publication, Published(event_ids=()), moves=moves, is_local=True)

    assert ("continue_as_new_workflow_execution" in commands) == moves
    if moves:
        new_run = commands["continue_as_new_workflow_execution"]
        assert new_run.initial_versioning_behavior == ContinueAsNewVersioningBehavior.AUTO_UPGRADE
        assert b"s" * 22 in new_run.arguments[0].data


def test_a_mailbox_does_not_move_while_a_mail_is_under_way() -> None:
    """The other release would send it again."""
    mailbox = Moving()
    mail = mailbox.sign_in(moves=False)["schedule_activity"]
    timer = WorkflowActivationJob(fire_timer=FireTimer(seq=1))

    assert "continue_as_new_workflow_execution" not in mailbox.commands(timer, moves=True)
    assert "schedule_local_activity" in mailbox.resolve(mail, MailAccepted(at=JUST_AFTER), moves=True)


def test_a_backlog_moves_and_starts_no_other_workflow() -> None:
    """Kafka is away, and what was too much for a run of the mailbox waits in a workflow of its own.

    A child workflow is pinned to its parent's release. So one that handed its backlog over to another would do that
    again and again, every three seconds, and keep the old release from draining.
    """
    world = MailboxWorld()
    for _ in range(MAX_WAITING + MAX_CARRIED_RESULTS + MAX_OVERFLOW_RESULTS):
        world.submit("signin-never-0000000001", "x")
    carried = world.mailbox.take_overflow(world.now)
    backlog = Moving("mailbox/m/overflow/1", carried)

    publication = backlog.commands(moves=True)
    pause = backlog.commands(WorkflowActivationJob(fire_timer=FireTimer(seq=1)), moves=True, at=A_WHILE_AFTER)
    fired = FireTimer(seq=pause["start_timer"].seq)
    later = backlog.commands(WorkflowActivationJob(fire_timer=fired), moves=True, at=A_WHILE_AFTER)

    assert "schedule_activity" in publication
    assert "start_child_workflow_execution" not in later
    new_run = later["continue_as_new_workflow_execution"]
    assert new_run.initial_versioning_behavior == ContinueAsNewVersioningBehavior.AUTO_UPGRADE
