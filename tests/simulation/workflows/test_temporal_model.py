"""The model of Temporal: what its server, its workers and the core do with the real workflows."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.common import TypedSearchAttributes

from schemas.tasks import MailToSend
from tests.simulation.workflows import people
from tests.simulation.workflows.commands import in_order
from tests.fakes.workflow_instances import TaskFailed, from_payload
from tests.simulation.workflows.runs import NotDeterministic
from tests.simulation.workflows.world import RELEASES, World
from workflows.names import VERIFY_OTP_WORKFLOW
from workflows.timeouts import HEARTBEAT_TIMEOUT

_SEED = 60
"""Of a visit with one wrong code and the right one."""


@pytest.fixture
def world() -> World:
    """Give a world with two workers."""
    world = World(random.Random(_SEED), told=True)
    world.hire()
    world.hire()
    return world


def visit(world: World, seconds: float = 60.0) -> list[str]:
    """Let somebody sign in, and return the types of the results."""
    world.move(0.0, people.visit, _SEED)
    world.agenda.run(world.agenda.now + seconds)
    return list(dict.fromkeys(one.result.type for one in world.ledger.published))


def spoil(name: str, value: float) -> Callable[[World], None]:
    """Return what makes something go wrong between server and workers."""
    return lambda world: setattr(world.temporal.pauses.mood, name, value)


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (spoil("evictions", 1.0), "run replayed"),
        (spoil("crashes", 0.3), "task done again"),
        (spoil("freezes", 1.0), "answer to a task came too late"),
        (spoil("lost_answers", 0.4), "activity timed out"),
    ],
)
def test_it_does_what_temporal_may_do(world: World, trouble: Callable[[World], None], kind: str) -> None:
    """Whatever that is, a visit has its results, and nothing is accused."""
    trouble(world)
    visit(world, 25.0)
    world.temporal.pauses.mood.crashes = 0.0
    world.temporal.pauses.mood.freezes = 0.0
    world.temporal.pauses.mood.lost_answers = 0.0

    assert world.settle() == []
    assert world.story.kinds[kind] > 0


def test_a_local_activity_that_takes_too_long_is_tried_as_a_normal_one(world: World) -> None:
    """It may have done its work: then that is done twice."""
    world.temporal.pauses.mood.slow_locals = 1.0

    assert visit(world)[-1:] == ["signin.succeeded"]
    assert any(step.activation.jobs[0].resolve_activity.is_local for run in world.temporal.runs for step in run.steps)
    assert world.settle() == []


def test_nobody_works_for_hours(world: World) -> None:
    """What waits is done when somebody is back."""
    world.move(0.0, people.visit, _SEED)
    world.agenda.run(0.02)
    world.close_shop(7_200.0)

    assert world.settle() == []
    assert world.ledger.published[-1].result.type == "signin.rejected"


def test_a_workflow_that_does_something_else_when_it_is_replayed_is_found(world: World) -> None:
    """The next release gives other commands, so it cannot replay this one's runs."""
    visit(world)
    run = next(run for run in world.temporal.runs if run.beginning.kind == VERIFY_OTP_WORKFLOW)

    with pytest.raises((NotDeterministic, TaskFailed)):
        run.replayed(RELEASES["2"][VERIFY_OTP_WORKFLOW])
    run.replayed(RELEASES["1"][VERIFY_OTP_WORKFLOW]).evict()


def test_a_workflow_that_fails_its_task_is_accused(world: World) -> None:
    """Its input is of a format that no release writes."""
    nonsense = Payload(metadata={"encoding": b"json/plain"}, data=b'{"format": 99}')
    world.temporal.start(VERIFY_OTP_WORKFLOW, "mailbox/x", nonsense, TypedSearchAttributes([]))
    world.agenda.run(1.0)

    assert any("a workflow task failed" in text for text in world.temporal.violations)


def test_normal_activities_have_the_options_that_the_workflow_asked_for(world: World) -> None:
    """A mail is tried again only if nobody knows how its try ended, for a limited time, and until its code expires."""
    world.temporal.pauses.mood.slow_work = 1.0
    world.temporal.pauses.mood.long_mails = 0.0
    world.move(0.0, people.visit, _SEED)
    world.agenda.run(0.1)
    (activity,) = (one for run in world.temporal.runs for one in run.activities.values())
    mail = from_payload(activity.command.arguments[0], MailToSend)
    left = mail.expires_at - world.agenda.datetime()

    assert {"MailRefused", "MailUnavailable"} <= set(activity.command.retry_policy.non_retryable_error_types)
    assert activity.command.heartbeat_timeout.ToTimedelta() == HEARTBEAT_TIMEOUT
    assert activity.command.start_to_close_timeout.ToTimedelta() == timedelta(seconds=world.policy.times.mail_attempt_s)
    assert abs(activity.command.schedule_to_close_timeout.ToTimedelta() - left) < timedelta(seconds=1)


def test_what_a_workflow_does_after_it_ended_its_run_comes_before_the_end() -> None:
    """So an activity that is asked for then ends with the run, and is never tried (seed 5293 of an earlier version)."""
    end, activity, other = WorkflowCommand(), WorkflowCommand(), WorkflowCommand()
    end.continue_as_new_workflow_execution.SetInParent()
    activity.schedule_activity.SetInParent()
    other.start_child_workflow_execution.SetInParent()

    assert in_order([activity, end, other]) == [activity, other, end]
