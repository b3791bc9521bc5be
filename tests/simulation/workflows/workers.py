"""Workers: the real activities, on a clock of their own, in a process that may freeze or die."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from threading import Event
from typing import Any, Final

from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.common import Priority, _CompositeEvent
from temporalio.exceptions import ApplicationError

from activities.clearing import ClearingActivities
from activities.codes import CodeKeys
from activities.delivery import DeliveryActivities
from activities.email_check import EmailActivities
from activities.handing_over import HandOverActivities
from activities.otp import OtpActivities
from activities.pseudonyms import Pseudonyms
from activities.publishing import PublishingActivities
from activities.turnstile_check import TurnstileActivities
from schemas.limits import Clearing
from schemas.tasks import (
    CodeToIssue,
    CodeToVerify,
    EmailToCheck,
    FirstAttemptQuery,
    HandOver,
    MailToSend,
    Publication,
    TokenToCheck,
)
from tests.simulation.story import Story
from tests.simulation.workflows.agenda import Act, Agenda
from tests.simulation.workflows.failures import raised
from tests.fakes.workflow_instances import CONVERTER, LOOP, Instance, from_payload, run_now, to_payload
from tests.simulation.workflows.ledger import Compared, Ledger
from tests.simulation.workflows.outside import Outside, WorkerDied
from tests.simulation.workflows.runs import Run
from tests.simulation.workflows.simulated_client import SimulatedClient
from tests.simulation.workflows.tasks import Task
from utils.temporal.first_attempts import TemporalFirstAttempts
from utils.temporal.mailboxes import TemporalMailboxes

ACTION: Final = "signin"
HOSTNAME: Final = "example.com"
KEYS: Final = CodeKeys({"k1": b"c" * 32})
PSEUDONYMS: Final = Pseudonyms(b"a" * 32)

_NEVER: Final = _CompositeEvent(thread_event=Event(), async_event=None)
_MAX_TOKEN_AGE_S: Final = 300
_NEEDS_LOOP: Final = frozenset({"send_email_activity", "publish_result_activity"})
"""Activities with tasks or time limits of their own."""


@dataclass
class Surroundings:
    """What a worker has around it."""

    agenda: Agenda
    story: Story
    outside: Outside
    client: SimulatedClient
    ledger: Ledger
    on_death: Act


class Worker:
    """A process that does workflow tasks and activities. ``cache``: the runs that it has in memory."""

    def __init__(
        self,
        name: str,
        release: str,
        workflows: Mapping[str, type[Any]],
        skew_s: float,
        around: Surroundings,
    ) -> None:
        self.name = name
        self.release = release
        self.workflows = workflows
        self.is_alive = True
        self.is_frozen = False
        self.cache: dict[Run, Instance] = {}
        self.tasks: dict[Run, Task] = {}
        self._around = around
        self._skew_s = skew_s
        self._held: list[Act] = []
        self._activities = self._new_activities()

    def later(self, seconds: float, act: Act) -> None:
        """Do something later, if the process lives then, and once it is not frozen."""
        self._around.agenda.later(seconds, partial(self._do, act))

    def freeze(self) -> None:
        """Stop, as a process does that gets no CPU."""
        self.is_frozen = True
        self._around.story.add("worker frozen", self.name)

    def thaw(self) -> None:
        """Go on where it stopped."""
        if self.is_frozen:
            self.is_frozen = False
            self._around.story.add("worker thawed", self.name)
            held = self._held
            self._held = []
            for act in held:
                self.later(0.0, act)

    def kill(self) -> None:
        """Die, in the middle of whatever it does."""
        if self.is_alive:
            self.is_alive = False
            self._around.story.add("worker killed", self.name)
            for task in self.tasks.values():
                task.give_up()
            for run in list(self.cache):
                self.drop(run)
            self._around.on_death()

    def take_over(self, run: Run, *, keep: bool) -> None:
        """Prepare for a new task of a run. What another worker did meanwhile is not in the cache."""
        earlier = self.tasks.pop(run, None)
        if earlier is not None:
            earlier.give_up()
        if not keep:
            self.drop(run)

    def drop(self, run: Run) -> None:
        """Drop a run from the cache."""
        instance = self.cache.pop(run, None)
        if instance is not None:
            instance.evict()

    def execute(
        self,
        kind: str,
        task: Payload,
        run: Run,
        *,
        attempt: int = 1,
        is_local: bool = False,
        began_at: float | None = None,
    ) -> Payload | Failure:
        """Run the real activity, at once, and return how it ends."""
        method, model = self._activities[kind]
        outside = self._around.outside
        outside.began_at = self._around.agenda.now if began_at is None else began_at
        decoded = from_payload(task, model)
        outside.task = decoded
        info = _info(kind, run.workflow_id, attempt, is_local)
        token = activity._Context.set(_context(info))

        try:
            work = method(decoded)
            answer = LOOP.run_until_complete(work) if kind in _NEEDS_LOOP else run_now(work)
        except ApplicationError as error:
            return raised(error)
        finally:
            activity._Context.reset(token)

        if isinstance(decoded, CodeToVerify):
            self._around.ledger.compared.append(
                Compared(self._around.agenda.now, decoded.signin_id, decoded.account, decoded.seal, answer.correct)
            )
        return to_payload(answer)

    def _do(self, act: Act) -> None:
        if not self.is_alive:
            return
        if self.is_frozen:
            self._held.append(act)
            return

        try:
            act()
        except WorkerDied:
            self.kill()

    def _now(self) -> datetime:
        return self._around.agenda.datetime(self._skew_s)

    def _new_activities(self) -> dict[str, tuple[Callable[[Any], Coroutine[Any, Any, Any]], type[Any]]]:
        outside = self._around.outside
        client = self._around.client.as_client()
        turnstile = TurnstileActivities(outside, frozenset({HOSTNAME}), ACTION, _MAX_TOKEN_AGE_S, self._now)
        otp = OtpActivities(KEYS)
        mailboxes = TemporalMailboxes(client, "signin-mailbox")
        hand_over = HandOverActivities(mailboxes, TemporalFirstAttempts(client), self._now)

        return {
            "validate_email_activity": (EmailActivities(outside, PSEUDONYMS).validate_email_activity, EmailToCheck),
            "verify_turnstile_activity": (turnstile.verify_turnstile_activity, TokenToCheck),
            "hand_over_activity": (hand_over.hand_over_activity, HandOver),
            "read_first_attempt_activity": (hand_over.read_first_attempt_activity, FirstAttemptQuery),
            "generate_otp_activity": (otp.generate_otp_activity, CodeToIssue),
            "verify_otp_activity": (otp.verify_otp_activity, CodeToVerify),
            "send_email_activity": (
                DeliveryActivities(outside, KEYS, HOSTNAME, self._now).send_email_activity,
                MailToSend,
            ),
            "publish_result_activity": (PublishingActivities(outside).publish_result_activity, Publication),
            "report_clearing_activity": (ClearingActivities().report_clearing_activity, Clearing),
        }


def _context(info: activity.Info) -> activity._Context:
    return activity._Context(
        info=lambda: info,
        heartbeat=None,
        cancelled_event=_NEVER,
        worker_shutdown_event=_NEVER,
        shield_thread_cancel_exception=None,
        payload_converter_class_or_instance=CONVERTER,
        runtime_metric_meter=None,
        client=None,
        cancellation_details=activity._ActivityCancellationDetailsHolder(),
    )


_DAWN: Final = datetime.fromtimestamp(0)


@lru_cache(maxsize=1_000)
def _info(kind: str, workflow_id: str, attempt: int, is_local: bool) -> activity.Info:
    return activity.Info(
        activity_id="1",
        activity_type=kind,
        attempt=attempt,
        current_attempt_scheduled_time=_DAWN,
        heartbeat_details=[],
        heartbeat_timeout=None,
        is_local=is_local,
        namespace="default",
        schedule_to_close_timeout=timedelta(seconds=1),
        scheduled_time=_DAWN,
        start_to_close_timeout=timedelta(seconds=1),
        started_time=_DAWN,
        task_queue="signin",
        task_token=b"",
        workflow_id=workflow_id,
        workflow_namespace="default",
        workflow_run_id="run",
        workflow_type="",
        priority=Priority.default,
        retry_policy=None,
        activity_run_id=None,
    )
