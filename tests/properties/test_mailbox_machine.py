"""Whatever people, time, faults and new runs do to a mailbox, its promises hold."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from schemas.policy import LimitPolicy, OtpPolicy, Policy
from schemas.results import TERMINAL_TYPES, OtpRejected
from tests.fakes.mailbox_world import ADA, CAFE, EVE, HOME, RIGHT, MailboxWorld, summary
from workflows.rules.jobs import CompareCode, SendMail

ACCOUNTS = st.sampled_from([ADA, EVE])
NETWORKS = st.sampled_from([HOME, CAFE, "unknown"])
SEALS = st.sampled_from([RIGHT, "wrong", "wrong", "wrong"])
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class MailboxMachine(RuleBasedStateMachine):
    """Small limits, so that they are met often."""

    signins = Bundle("signins")
    submissions = Bundle("submissions")

    @initialize(attempts=st.integers(1, 5), hour=st.integers(1, 4), day=st.integers(2, 6), row=st.integers(1, 9))
    def set_up(self, attempts: int, hour: int, day: int, row: int) -> None:
        """Start with an empty mailbox and other limits every time."""
        self.limits = LimitPolicy(
            sends_per_hour=hour,
            sends_per_day=day,
            failures_per_hour=hour,
            failures_per_day=day,
            failures_in_a_row=row,
            trusted_failures_per_day=hour,
        )
        self.world = MailboxWorld(Policy(limits=self.limits, otp=OtpPolicy(max_attempts=attempts)))
        self.opened: dict[str, dict[str, Any]] = {}
        self.rights: defaultdict[str, set[str]] = defaultdict(set)
        self.mails: list[tuple[datetime, dict[str, Any]]] = []
        self.mailed: set[tuple[str, int]] = set()
        self.charges: defaultdict[str, list[tuple[datetime, dict[str, Any]]]] = defaultdict(list)

    @rule(target=signins, account=ACCOUNTS, network=NETWORKS, trusted=st.booleans())
    def sign_in(self, account: str, network: str, trusted: bool) -> str:
        """Open a sign-in."""
        signin_id = f"signin-{len(self.opened):015}"
        self.opened[signin_id] = {"account": account, "network": network, "trusted": trusted}
        self.world.sign_in(signin_id, **self.opened[signin_id])
        return signin_id

    @rule(signin_id=signins)
    def redeliver_request(self, signin_id: str) -> None:
        """Hand attempt 1 over once more."""
        self.world.sign_in(signin_id, **self.opened[signin_id])

    @rule(signin_id=signins, attempt=st.integers(2, 4), account=ACCOUNTS)
    def send_again(self, signin_id: str, attempt: int, account: str) -> None:
        """Ask for the code again, perhaps from a wrong account."""
        self.world.attempt(signin_id, attempt, account=account)

    @rule(signin_id=signins, attempt=st.integers(2, 4))
    def refuse(self, signin_id: str, attempt: int) -> None:
        """Tell of a bad attempt."""
        self.world.refuse(signin_id, attempt)

    @rule(target=submissions, signin_id=signins, account=ACCOUNTS, seal=SEALS)
    def submit(self, signin_id: str, account: str, seal: str) -> tuple[str, str, str]:
        """Type a code."""
        submission_id = self.world.submit(signin_id, seal, account)
        if seal == RIGHT and account == self.opened[signin_id]["account"]:
            self.rights[signin_id].add(submission_id)
        return signin_id, account, submission_id

    @rule(submission=submissions, seal=SEALS)
    def redeliver_submission(self, submission: tuple[str, str, str], seal: str) -> None:
        """Submit again under an id seen before; the first read counts."""
        signin_id, account, submission_id = submission
        self.world.submit(signin_id, seal, account, submission_id)

    @rule(account=ACCOUNTS, mails=st.booleans(), failures=st.booleans())
    def clear_limits(self, account: str, mails: bool, failures: bool) -> None:
        """Give budgets back, as support does."""
        self.world.clear(account, mails=mails, failures=failures)
        if failures:
            self.charges[account].clear()
        if mails:
            self.mails.clear()
            live = self.world.mailbox.state.live.values()
            self.mailed.update((sign_in.signin_id, mail.attempt) for sign_in in live for mail in sign_in.mails)

    @rule(seconds=st.sampled_from([0.001, 1, 10, 59, 60, 241, 299, 300, 3_599, 3_600, 86_400]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.wait(seconds)

    @rule(hold_mails=st.booleans(), hold_compares=st.booleans())
    def take(self, hold_mails: bool, hold_compares: bool) -> None:
        """Start what is to be started."""
        for job in self.world.take_jobs(hold_mails=hold_mails, hold_compares=hold_compares):
            assert not (hold_mails and isinstance(job, SendMail)), "a held mail was started"
            assert not (hold_compares and isinstance(job, CompareCode)), "a held compare was started"
            self._started(job)

    @precondition(lambda self: self.world.jobs)
    @rule(data=st.data())
    def end_one(self, data: st.DataObject) -> None:
        """End a job in flight, in any order and any way."""
        job = data.draw(st.sampled_from(self.world.jobs))
        fault = data.draw(st.sampled_from([None, None, None, "again", "never"]))
        if isinstance(job, CompareCode):
            account = self.opened[job.signin_id]["account"]
            if fault:
                self._refund(job)
            elif job.task.seal == RIGHT and job.signin_id in self.world.mailbox.state.live:
                self.charges[account].clear()

        self.world.finish(job, fault)

    @rule()
    def work(self) -> None:
        """Let everything go well for a while."""
        self.take(False, False)
        while self.world.jobs:
            job = self.world.jobs[0]
            if isinstance(job, CompareCode) and job.task.seal == RIGHT:
                if job.signin_id in self.world.mailbox.state.live:
                    self.charges[self.opened[job.signin_id]["account"]].clear()

            self.world.finish(job)
            self.take(False, False)

    @precondition(lambda self: not self.world.mailbox.is_sending and not self.world.mailbox.is_comparing)
    @rule()
    def continue_as_new(self) -> None:
        """Go on in a new run."""
        self.world.continue_as_new()

    @invariant()
    def results_are_in_order_and_end_once(self) -> None:
        """See one terminal result a sign-in at most, as its last, and no result twice with another content."""
        for signin_id in self.opened:
            mine = [one for one in self.world.results(signin_id) if summary(one) != "otp.rejected unknown_signin"]
            ends = [place for place, one in enumerate(mine) if one.type in TERMINAL_TYPES]
            assert ends in ([], [len(mine) - 1]), [summary(one) for one in mine]
        contents: dict[str, bytes] = {}
        for event in self.world.published:
            assert contents.setdefault(event.event_id, event.value()) == event.value()

    @invariant()
    def only_the_right_code_succeeds(self) -> None:
        """See that a success names a submission of the right code for the right account."""
        for one in self.world.results():
            if one.type == "signin.succeeded":
                assert one.submission_id in self.rights[one.signin_id]

    @invariant()
    def nobody_tries_too_often(self) -> None:
        """See that a sign-in's wrong codes stay within its tries."""
        wrong = Counter(
            one.signin_id for one in self.world.results() if isinstance(one, OtpRejected) and one.reason == "wrong_code"
        )
        assert all(count <= self.world.policy.otp.max_attempts for count in wrong.values())

    @invariant()
    def budgets_hold(self) -> None:
        """See no more mails or failures in any window than allowed, for strangers, networks, trusted devices."""
        limits = self.limits
        strangers = [(at, who) for at, who in self.mails if not who["trusted"]]
        trusted = [(at, who) for at, who in self.mails if who["trusted"]]
        for mails in (strangers, trusted):
            _assert_window(mails, HOUR, limits.sends_per_hour)
            _assert_window(mails, DAY, limits.sends_per_day)

        _assert_networks(strangers, limits.sends_per_day // 2)

        for charges in self.charges.values():
            strangers = [(at, who) for at, who in charges if not who["trusted"]]
            _assert_window(strangers, HOUR, limits.failures_per_hour)
            _assert_window(strangers, DAY, min(limits.failures_per_day, limits.failures_in_a_row))
            _assert_networks(strangers, limits.failures_per_day // 2)
            trusted = [(at, who) for at, who in charges if who["trusted"]]
            _assert_window(trusted, DAY, min(limits.trusted_failures_per_day, limits.failures_in_a_row))

    def teardown(self) -> None:
        """In the end every sign-in has its terminal result, and the mailbox forgets all."""
        if not hasattr(self, "world"):
            return

        for _ in range(3):
            self.work()
            self.world.wait(300)

        self.work()
        self.results_are_in_order_and_end_once()
        ended = {one.signin_id for one in self.world.results() if one.type in TERMINAL_TYPES}

        assert ended == set(self.opened)

        self.world.wait(2 * 86_400)

        assert self.world.mailbox.is_done(self.world.now)

    def _started(self, job: object) -> None:
        if isinstance(job, SendMail):
            assert self.world.now < job.until, "a mail of a code that has expired"
            if (job.signin_id, job.attempt) not in self.mailed:
                self.mailed.add((job.signin_id, job.attempt))
                self.mails.append((job.task.requested_at, self.opened[job.signin_id]))
        elif isinstance(job, CompareCode):
            assert self.world.now < job.until, "a compare with a code that has expired"

            in_flight = [one for one in self.world.jobs if isinstance(one, CompareCode)]

            assert [one.signin_id for one in in_flight].count(job.signin_id) == 1, "two compares of one sign-in"

            who = self.opened[job.signin_id]
            self.charges[who["account"]].append((self.world.now, who))

    def _refund(self, job: CompareCode) -> None:
        """Take the last charge of this sign-in's back."""
        who = self.opened[job.signin_id]
        charges = self.charges[who["account"]]
        for place in reversed(range(len(charges))):
            if charges[place][1] is who:
                del charges[place]
                return


def _assert_window(spent: list[tuple[datetime, dict[str, Any]]], span: timedelta, most: int) -> None:
    times = sorted(at for at, _ in spent)
    for first, one_more in zip(times, times[most:], strict=False):
        assert one_more - first >= span, f"more than {most} in {span}"


def _assert_networks(spent: list[tuple[datetime, dict[str, Any]]], most: int) -> None:
    for network in (HOME, CAFE, "unknown"):
        _assert_window([(at, who) for at, who in spent if who["network"] == network], DAY, most)


TestMailbox = MailboxMachine.TestCase
TestMailbox.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
