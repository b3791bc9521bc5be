"""One simulation from a seed: people, consumers, a model of Temporal, workers, and what befalls them."""

import gc
import json
import random
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from temporalio.api.common.v1 import Payload

from consumers.outcomes import Ignored, Outcome
from consumers.ports import Record
from schemas.limits import Clearing
from schemas.policy import LimitPolicy, OtpPolicy, Policy, TimePolicy
from schemas.signals import Submission
from schemas.tasks import MailAccepted, MailToSend
from tests.releases.next_release import NextSignInWorkflow, NextVerifyOTPWorkflow
from tests.simulation.halves import Result
from tests.simulation.silence import silence
from tests.simulation.story import Story
from tests.simulation.workflows.agenda import BEGINNING, Act, Agenda, Endless
from tests.simulation.workflows.consumers import REQUESTED, SUBMITTED, Consumer, Consumers
from tests.fakes.workflow_instances import TaskFailed, from_payload
from tests.simulation.workflows.knobs import Knobs
from tests.simulation.workflows.ledger import Cleared, Cut, Ledger, MailAnswer, Signalled
from tests.simulation.workflows.oracle import judge
from tests.simulation.workflows.outside import Outside
from tests.simulation.workflows.run_rules import judge_runs
from tests.simulation.workflows.runs import NotDeterministic, Run
from tests.simulation.workflows.simulated_client import SimulatedClient
from tests.simulation.workflows.temporal_model import Temporal
from tests.simulation.workflows.workers import Surroundings, Worker
from workflows import run_limits
from workflows.inbox import MESSAGES
from workflows.names import SIGN_IN_WORKFLOW, VERIFY_OTP_WORKFLOW
from workflows.sign_in import SignInWorkflow
from workflows.verify_otp import VerifyOTPWorkflow

_MAX_DAYS: Final = 4
_SINGLE_BATCH_SHARE: Final = 0.15
"""Of the worlds whose SDK delivers signals and answers together, as a later release will."""
_MAX_WORKERS: Final = 3
_DAY_S: Final = 86_400.0
_MAX_SKEW_S: Final = 2.0

RELEASES: Final = {
    "1": {SIGN_IN_WORKFLOW: SignInWorkflow, VERIFY_OTP_WORKFLOW: VerifyOTPWorkflow},
    "2": {SIGN_IN_WORKFLOW: NextSignInWorkflow, VERIFY_OTP_WORKFLOW: NextVerifyOTPWorkflow},
}


class World:
    """Everything that one simulation consists of.

    ``after_mail``, ``after_resend``: done once, when history holds that a mail was accepted, or one of a later attempt.
    """

    def __init__(self, rng: random.Random, told: bool, skipped: Collection[int] = frozenset()) -> None:
        self.agenda = Agenda(child(rng))
        self.story = Story(lambda: self.agenda.now, told)
        self.policy = _policy(child(rng))
        self.ledger = Ledger()
        self.client = SimulatedClient(child(rng))
        self.temporal = Temporal(self.agenda, child(rng), self.story, self)
        self.temporal.single_batch = rng.random() < _SINGLE_BATCH_SHARE
        self.client.connect(self.temporal)
        self.outside = Outside(self.agenda, child(rng), self.story, self.ledger)
        self.rng = child(rng)
        skews = [self.rng.uniform(-_MAX_SKEW_S, _MAX_SKEW_S) for _ in range(self.rng.randint(1, 3))]
        readers = [Consumer(self.agenda, self.client, self.policy, skew) for skew in skews]
        self.consumers = Consumers(self.agenda, child(rng), self.story, readers, self._on_read, self._on_outcome)
        self.moves = 0
        self.is_staffed = True
        self.is_peace = False
        self.after_mail: Act | None = None
        self.after_resend: Act | None = None
        self._promoted_at = 0.0
        self._moments: dict[str, datetime] = {}
        self._skipped = skipped
        self._hired = 0
        self._around = Surroundings(self.agenda, self.story, self.outside, self.client, self.ledger, self._supervise)

    def hire(self, release: str | None = None) -> Worker:
        """Start another worker."""
        self._hired += 1
        release = release or self.temporal.current_release
        skew_s = self.rng.uniform(-_MAX_SKEW_S, _MAX_SKEW_S)
        worker = Worker(f"w{self._hired}", release, RELEASES[release], skew_s, self._around)
        self.story.add("worker starts", f"{worker.name} of release {release}")
        if self.ledger.calm_since is not None:
            self.ledger.calm_since = self.agenda.now
        self.temporal.hire(worker)
        return worker

    @property
    def workers(self) -> list[Worker]:
        """The workers that live."""
        return [worker for worker in self.temporal.workers if worker.is_alive]

    def move(self, after_s: float, act: Callable[["World", random.Random], None], seed: int) -> None:
        """Let something happen later, unless this move is to be skipped. What it draws depends on no other move."""
        self.moves += 1
        if self.moves not in self._skipped:
            self.agenda.later(after_s, lambda: act(self, random.Random(seed)))

    def settle(self) -> list[str]:
        """Give the workers the time they need, and judge what is left."""
        limit = self.agenda.now + _MAX_DAYS * _DAY_S
        self.agenda.run(limit)
        full = [run for run in self.temporal.runs if run.length >= run_limits.LAST_EVENTS]
        self.ledger.cut_short = [Cut(run.workflow_id, run.task_before_began_at, run.ended_at) for run in full]
        self.ledger.clearings = [self._heard(cleared) for cleared in self.ledger.clearings]
        judged = judge(self.ledger, self.policy, self.temporal.runs)
        violations = [*self.temporal.violations, *self._replay(), *judge_runs(self.temporal.runs), *judged]
        for worker in self.temporal.workers:
            for run in list(worker.cache):
                worker.drop(run)
        return violations

    # What the model of Temporal tells

    def run_began(self, run: Run) -> None:
        """Take note that a mailbox that had ended begins to remember anew."""
        if run.beginning.run_id == run.beginning.first_run_id:
            self._moments[run.workflow_id] = run.beginning.started_at

    def signalled(self, run: Run, name: str, content: Payload) -> None:
        """Keep a signal. It is decided as of its stamp, but of no earlier moment than the one before."""
        message = from_payload(content, MESSAGES[name])
        stamp = message.read_at if isinstance(message, Submission) else message.decided_at
        moment = max(self._moments[run.workflow_id], stamp)
        self._moments[run.workflow_id] = moment
        number = len(self.ledger.signals)
        self.ledger.signals.append(Signalled(self.agenda.now, message.signin_id, name, message, moment, number))

    def answered(self, run: Run, kind: str, task: Payload, answer: Payload) -> None:
        """Keep that a mail was accepted, or that limits may be cleared."""
        if kind == "report_clearing_activity":
            clearing = from_payload(task, Clearing)
            self.ledger.clearings.append(Cleared(self.agenda.now, run.workflow_id, clearing, self.agenda.now))
        if kind == "send_email_activity":
            mail = from_payload(task, MailToSend)
            accepted = from_payload(answer, MailAccepted)
            known = MailAnswer(self.agenda.now, mail.signin_id, mail.attempt, accepted.at)
            self.ledger.answers.append(known)
            self._go_on_after(mail)

    def promote(self, release: str) -> None:
        """Let new workflows begin under a release, if it has a worker. Others move to it when they can."""
        if any(worker.release == release for worker in self.workers):
            self.temporal.current_release = release
            self._promoted_at = self.agenda.now
            self.story.add("release promoted", release)
            self.temporal.offer_again()

    def close_shop(self, seconds: float) -> None:
        """Have no worker for so long."""
        self.is_staffed = False
        for worker in self.workers:
            worker.kill()

        def open_again() -> None:
            self.is_staffed = True
            self.staff()

        self.agenda.later(seconds, open_again)

    def staff(self) -> None:
        """Have a worker of each release that is needed: the current one, and those of open runs."""
        needed = {self.temporal.current_release, *(run.release for run in self.temporal.runs if run.is_open)}
        served = {worker.release for worker in self.workers}
        for release in sorted(filter(None, needed - served)):
            self.hire(release)

    def check_releases(self) -> None:
        """Accuse the runs that are at rest, had a task since a release was promoted, and did not move to it."""
        for run in self.temporal.runs:
            if run.is_open and self.temporal.is_outdated(run) and run.last_task_at > self._promoted_at:
                self.temporal.accuse(f"{run.workflow_id}: a run stays with release {run.release}")

    # Internals

    def _heard(self, cleared: Cleared) -> Cleared:
        """Return with it when the mailbox's next task began, of those that have completed."""
        own = (run for run in self.temporal.runs if run.workflow_id == cleared.mailbox)
        began = (
            step.activation.timestamp.ToNanoseconds() / 1e9 - BEGINNING.timestamp() for run in own for step in run.steps
        )
        return cleared._replace(until=min((at for at in began if at >= cleared.at), default=cleared.at))

    def _go_on_after(self, mail: MailToSend) -> None:
        if self.after_mail is not None:
            self.agenda.later(0.0, self.after_mail)
            self.after_mail = None
        if self.after_resend is not None and mail.attempt > 1:
            self.agenda.later(0.0, self.after_resend)
            self.after_resend = None

    def _supervise(self) -> None:
        """Start another worker some time after one has died."""

        def hire() -> None:
            if self.is_staffed and len(self.workers) < _MAX_WORKERS:
                self.hire()
            if self.is_staffed and self.is_peace:
                self.staff()

        self.agenda.later(self.rng.choice((0.1, 0.1, 2.0, 15.0)), hire)

    def _on_read(self, record: Record) -> None:
        if record.topic == SUBMITTED:
            submission_id = json.loads(record.value or b"")["submission_id"]
            self.ledger.reads.setdefault(submission_id, []).append(self.agenda.now)

    def _on_outcome(self, record: Record, outcome: Outcome) -> None:
        story = self.ledger.sign_ins.get((record.key or b"").decode())
        is_first = record.topic == REQUESTED and b'"attempt": 1,' in (record.value or b"")
        if story is not None and is_first and not isinstance(outcome, Ignored) and story.handled_at is None:
            story.handled_at = self.agenda.now

    def _replay(self) -> list[str]:
        """Replay each run from its beginning."""
        found = []
        for run in self.temporal.runs:
            try:
                run.replayed(RELEASES[run.release or "1"][run.beginning.kind]).evict()
            except (NotDeterministic, TaskFailed) as error:
                found.append(f"not deterministic: {error}")
        return found


Plot = Callable[[World, random.Random], None]
"""What happens in a world, and then ends well."""


def simulate(seed: int, plot: Plot, told: bool = False, skipped: Collection[int] = frozenset()) -> Result:
    """Let ``plot`` happen in a new world, without some of its moves. The same seed gives the same story."""
    rng = random.Random(seed)
    gc.disable()
    try:
        knobs = Knobs(child(rng))
        with knobs.turned(), silence():
            world = World(rng, told, skipped)
            violations = _live(world, plot, child(rng))
    finally:
        gc.enable()

    for text in violations:
        world.story.add("VIOLATION", text)
    return Result(seed, violations, world.story, world.agenda.now, world.moves)


def _live(world: World, plot: Plot, rng: random.Random) -> list[str]:
    try:
        plot(world, rng)
        return world.settle()
    except Endless:
        return ["what happens has no end"]


def child(rng: random.Random) -> random.Random:
    """Return a source of its own, so that one part of the world does not change what another draws."""
    return random.Random(rng.getrandbits(64))


def _policy(rng: random.Random) -> Policy:
    """Draw settings: small limits are reached sooner."""
    otp = OtpPolicy(
        digits=rng.choice((6, 8)),
        lifetime_s=rng.choice((30, 120, 300, 300)),
        max_attempts=rng.choice((1, 2, 5, 5)),
        shortest_resend_s=rng.choice((0, 10, 60)),
    )
    limits = LimitPolicy(
        send_cooldown_s=rng.choice((0, 5, 60)),
        sends_per_hour=rng.choice((2, 5)),
        sends_per_day=rng.choice((4, 20)),
        failures_per_hour=rng.choice((3, 10)),
        failures_per_day=rng.choice((4, 8, 20)),
        failures_in_a_row=rng.choice((3, 100)),
        trusted_failures_per_day=rng.choice((2, 5)),
    )
    times = TimePolicy(mail_attempt_s=rng.choice((3, 10)), linger_s=86_400, max_event_age_s=rng.choice((60, 300, 300)))
    return Policy(
        otp=otp,
        limits=limits,
        times=times,
        signals_per_run=rng.choice((3, 10, 1_000, 1_000)),
        search_attributes=rng.random() < 0.2,
    )
