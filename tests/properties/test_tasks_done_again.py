"""Workers die at any moment, and nobody outside can tell.

A worker does a workflow task, publishes what the task decides, and dies before the task completes.
Later it is done again: at another time, with whatever history holds by then. What was published
must come out again in the same bytes, or a sign-in would have two verdicts. Others freeze instead, and
publish when they thaw.

Verdicts and ``code_sent`` are published in the task that makes them; all else by normal activities.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schemas.policy import LimitPolicy, OtpPolicy, Policy
from schemas.results import TERMINAL_TYPES
from tests.fakes.driven_work import PUBLISH
from tests.fakes.mailbox_people import MailboxPeople
from tests.fakes.mailbox_run import SEND, VERIFY
from tests.fakes.mailbox_world import ADA, EVE, RIGHT, WRONG, summary
from workflows.timeouts import WORKFLOW_TASK_TIMEOUT

ACCOUNTS = st.sampled_from([ADA, ADA, EVE])
SEALS = st.sampled_from([RIGHT, RIGHT, WRONG])
SKEWS = st.sampled_from([-2.0, 0.0, 0.0, 0.0, 0.5, 30.0])
EVENTS = ["a second", "mail", "refusal", "resend", "code", "end", "other limits"]
FAILING = st.sampled_from([(), (), (), (VERIFY,), (PUBLISH,), (VERIFY, PUBLISH)])
MAX_ATTEMPTS = 20
MINUTE_S = 60


class DyingWorkers(RuleBasedStateMachine):
    """A mailbox, people, and workers that die in the middle of a task."""

    @initialize(
        attempts=st.integers(1, 3),
        failures=st.integers(2, 4),
        single_batch=st.booleans(),
        mail=st.sampled_from(["in flight", "accepted", "failed", "accepted, and a second one in flight"]),
    )
    def set_up(self, attempts: int, failures: int, single_batch: bool, mail: str) -> None:
        """Start with one sign-in and its mail in a mailbox with small limits."""
        limits = LimitPolicy(send_cooldown_s=0, failures_per_hour=failures, failures_per_day=2 * failures)
        otp = OtpPolicy(max_attempts=attempts, shortest_resend_s=0)
        self.people = MailboxPeople(Policy(limits=limits, otp=otp), single_batch=single_batch)
        self.accounts: dict[str, str] = {}
        self.frozen: list[Callable[[], None]] = []

        self.sign_in(ADA, 0.0)
        self.people.work()
        if mail.startswith("accepted"):
            self.people.accept_mail()
        elif mail == "failed":
            self.people.run.fail(self.people.run.started(SEND)[0], "MailUnavailable")
        if mail.endswith("in flight") and mail.startswith("accepted"):
            self.people.send_again()
        self.people.work()

    @rule(account=ACCOUNTS, skew=SKEWS)
    def sign_in(self, account: str, skew: float) -> None:
        """Hand over the first attempt of a sign-in, stamped by a clock that may be wrong."""
        signin_id = self.people.sign_in(account, at=self._moment(skew))
        self.accounts[signin_id] = account

    @rule(data=st.data(), skew=SKEWS)
    def send_again(self, data: st.DataObject, skew: float) -> None:
        """Hand over a later attempt."""
        signin_id = data.draw(st.sampled_from(self.people.sign_ins))
        if self.people.attempts[signin_id] < MAX_ATTEMPTS:
            self.people.send_again(signin_id, self.accounts[signin_id], at=self._moment(skew))

    @rule(data=st.data(), seal=SEALS, skew=SKEWS)
    def submit(self, data: st.DataObject, seal: str, skew: float) -> None:
        """Type a code."""
        signin_id = data.draw(st.sampled_from(self.people.sign_ins))
        self.people.submit(signin_id, seal, self.accounts[signin_id], at=self._moment(skew))

    @rule(seconds=st.sampled_from([0.1, 2, 60, 240, 300, 3_600]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.people.wait(seconds)

    @precondition(lambda self: self.people.run.started(SEND))
    @rule(data=st.data(), end=st.sampled_from(["accepted", "accepted", "failed", "refused"]))
    def end_mail(self, data: st.DataObject, end: str) -> None:
        """Let a mail end."""
        mail = data.draw(st.sampled_from(self.people.run.started(SEND)))
        match end:
            case "accepted":
                self.people.accept(mail)
            case "failed":
                self.people.run.fail(mail, "MailUnavailable")
            case _:
                self.people.run.fail(mail, "MailRefused", self.people.run.now.isoformat())

    @precondition(lambda self: self.people.run.started(PUBLISH))
    @rule(data=st.data())
    def end_publication(self, data: st.DataObject) -> None:
        """Let Kafka acknowledge results."""
        self.people.run.publish(data.draw(st.sampled_from(self.people.run.started(PUBLISH))))

    @precondition(lambda self: self.people.run.started(VERIFY))
    @rule()
    def end_compare(self) -> None:
        """Let a compare end that was too slow for a local activity."""
        self.people.finish_compare()

    @precondition(lambda self: self.people.run.started(VERIFY))
    @rule()
    def time_out_compare(self) -> None:
        """Let a compare take longer than it may: no worker is there."""
        self.people.run.time_out(self.people.run.started(VERIFY)[0])

    @precondition(lambda self: self.people.run.has_news)
    @rule(failing=FAILING)
    def do_task(self, failing: tuple[str, ...]) -> None:
        """Do the workflow task that is due."""
        self.people.run.do_task(failing=failing)

    @precondition(lambda self: self.people.run.has_news)
    @rule(meanwhile=st.lists(st.sampled_from(EVENTS), max_size=3), failing=FAILING)
    def lose_task(self, meanwhile: list[str], failing: tuple[str, ...]) -> None:
        """Do the workflow task that is due, publish, and die. Then something happens, and the task is done again.

        That is not before it has timed out.
        """
        self.people.run.lose_task()
        self._do_again(meanwhile, failing)

    @precondition(lambda self: self.people.run.has_news)
    @rule(meanwhile=st.lists(st.sampled_from(EVENTS), max_size=3), failing=FAILING)
    def freeze_task(self, meanwhile: list[str], failing: tuple[str, ...]) -> None:
        """Do the workflow task that is due, and freeze. Another worker does it again, before this one publishes."""
        self.frozen.append(self.people.run.freeze_task())
        self._do_again(meanwhile, failing)

    @precondition(lambda self: self.frozen)
    @rule(data=st.data())
    def thaw(self, data: st.DataObject) -> None:
        """Let a worker publish what it decided when it froze."""
        self.frozen.pop(data.draw(st.integers(0, len(self.frozen) - 1)))()

    def _do_again(self, meanwhile: list[str], failing: tuple[str, ...]) -> None:
        self.people.wait(WORKFLOW_TASK_TIMEOUT.total_seconds())
        for event in meanwhile:
            self._let_happen(event)
        self.people.run.do_task(failing=failing)

    def _let_happen(self, event: str) -> None:
        """Let something happen to the first sign-in. Where it cannot, nothing does."""
        first = self.people.sign_ins[0]
        mails = self.people.run.started(SEND)

        match event:
            case "a second":
                self.people.wait(1)
            case "mail" if mails:
                self.people.accept(mails[0])
            case "refusal" if mails:
                self.people.run.fail(mails[0], "MailRefused", self.people.run.now.isoformat())
            case "resend" if self.people.attempts[first] < MAX_ATTEMPTS:
                self.people.send_again(first, self.accounts[first])
            case "code":
                self.people.submit(first, RIGHT, self.accounts[first])
            case "end":
                self.people.wait(300)
            case "other limits":
                self._change_limits()
                self.sign_in(ADA, 0.0)

    @invariant()
    def repeats_are_equal(self) -> None:
        """Check that all results with one id have the same bytes."""
        values: dict[str, bytes] = {}
        for event in self.people.run.published:
            assert values.setdefault(event.event_id, event.value()) == event.value()

    @invariant()
    def sign_ins_end_once(self) -> None:
        """Check that a terminal result is the last that is new, and that a success follows a mail."""
        for types in self._stories().values():
            terminal = [place for place, one in enumerate(types) if one.split()[0] in TERMINAL_TYPES]

            assert terminal in ([], [len(types) - 1]), types
            assert "signin.succeeded" not in types or "signin.code_sent" in types, types
            assert types[-1:] != ["signin.failed delivery_failed"] or "signin.code_sent" not in types, types

    def teardown(self) -> None:
        """Check that every sign-in ends."""
        if not hasattr(self, "people"):
            return

        for _ in range(12):
            for compare in self.people.run.started(VERIFY):
                self.people.finish_compare()
            self.people.work()
            for mail in self.people.run.started(SEND):
                self.people.run.fail(mail, "MailUnavailable")
            self.people.work()
            self.people.wait(MINUTE_S)

        self.people.work()
        for thaw in self.frozen:
            thaw()
        self.repeats_are_equal()
        self.sign_ins_end_once()

        for signin_id, types in self._stories().items():
            assert types[-1].split()[0] in TERMINAL_TYPES, (signin_id, types)
        assert set(self._stories()) == set(self.people.sign_ins)

    def _change_limits(self) -> None:
        """Let later attempts come under limits of one failure, or of many."""
        policy = self.people.policy
        failures = 50 if policy.limits.failures_per_hour == 1 else 1
        limits = policy.limits.model_copy(update={"failures_per_hour": failures, "failures_per_day": 2 * failures})
        self.people.policy = policy.model_copy(update={"limits": limits})

    def _moment(self, skew: float) -> datetime:
        return self.people.run.now + timedelta(seconds=skew)

    def _stories(self) -> dict[str, list[str]]:
        """Return the results of each sign-in as summaries, without repeats."""
        stories = defaultdict[str, list[str]](list)
        known = set[str]()
        for event in self.people.events():
            told = summary(event.result)
            if event.event_id not in known and told != "otp.rejected unknown_signin":
                known.add(event.event_id)
                stories[event.result.signin_id].append(told)
        return stories


TestDyingWorkers = DyingWorkers.TestCase
TestDyingWorkers.settings = settings(
    max_examples=150,
    stateful_step_count=20,
    phases=(Phase.reuse, Phase.generate),  # to shrink takes minutes
)
