"""A mailbox keeps its promises whatever people, time, faults and new runs do to it."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from schemas.policy import LimitPolicy, OtpPolicy, Policy
from schemas.results import TERMINAL_TYPES, OtpRejected, Result
from tests.fakes.mailbox_world import ADA, CAFE, EVE, HOME, RIGHT, MailboxWorld, summary
from workflows.rules.jobs import CompareCode, SendMail

ACCOUNTS = st.sampled_from([ADA, EVE])
NETWORKS = st.sampled_from([HOME, CAFE, "unknown"])
SEALS = st.sampled_from([RIGHT, "wrong", "wrong", "wrong"])
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Spend(NamedTuple):
    """A mail or a failure: when, and the sign-in that it was spent on."""

    at: datetime
    sign_in: dict[str, Any]


class MailboxMachine(RuleBasedStateMachine):
    """Random actions on a mailbox with small limits, which are reached often."""

    signins = Bundle("signins")
    submissions = Bundle("submissions")

    @initialize(
        attempts=st.integers(1, 5),
        hour=st.integers(1, 4),
        day=st.integers(2, 6),
        row=st.integers(1, 9),
    )
    def set_up(self, attempts: int, hour: int, day: int, row: int) -> None:
        """Start with an empty mailbox and random limits."""
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
        self.right_submissions: defaultdict[str, set[str]] = defaultdict(set)
        self.mails: list[Spend] = []
        self.mailed: set[tuple[str, int]] = set()
        self.read_at: dict[str, datetime] = {}
        self.charges: defaultdict[str, list[Spend]] = defaultdict(list)
        self.rows: defaultdict[str, list[Spend]] = defaultdict(list)

    @rule(target=signins, account=ACCOUNTS, network=NETWORKS, trusted=st.booleans())
    def sign_in(self, account: str, network: str, trusted: bool) -> str:
        """Open a sign-in."""
        signin_id = f"signin-{len(self.opened):015}"
        self.opened[signin_id] = {"account": account, "network": network, "trusted": trusted}
        self.world.sign_in(signin_id, **self.opened[signin_id])
        return signin_id

    @rule(signin_id=signins)
    def redeliver_request(self, signin_id: str) -> None:
        """Deliver attempt 1 again."""
        self.world.sign_in(signin_id, **self.opened[signin_id])

    @rule(signin_id=signins, attempt=st.integers(2, 4), account=ACCOUNTS)
    def send_again(self, signin_id: str, attempt: int, account: str) -> None:
        """Ask for the code again, perhaps for a wrong account."""
        self.world.attempt(signin_id, attempt, account=account)

    @rule(signin_id=signins, attempt=st.integers(2, 4))
    def refuse(self, signin_id: str, attempt: int) -> None:
        """Refuse a later attempt."""
        self.world.refuse(signin_id, attempt)

    @rule(target=submissions, signin_id=signins, account=ACCOUNTS, seal=SEALS)
    def submit(self, signin_id: str, account: str, seal: str) -> tuple[str, str, str]:
        """Type a code."""
        submission_id = self.world.submit(signin_id, seal, account)
        self.read_at[submission_id] = self.world.now
        if seal == RIGHT and account == self.opened[signin_id]["account"]:
            self.right_submissions[signin_id].add(submission_id)
        return signin_id, account, submission_id

    @rule(submission=submissions, seal=SEALS)
    def redeliver_submission(self, submission: tuple[str, str, str], seal: str) -> None:
        """Deliver a submission again, perhaps with another code: the first one counts."""
        signin_id, account, submission_id = submission
        self.world.submit(signin_id, seal, account, submission_id)

    @rule(account=ACCOUNTS, mails=st.booleans(), failures=st.booleans())
    def clear_limits(self, account: str, mails: bool, failures: bool) -> None:
        """Clear budgets, as support does."""
        self.world.clear(account, mails=mails, failures=failures)
        if failures:
            self.charges[account].clear()
            self.rows[account].clear()
        if mails:
            self.mails.clear()
            live = self.world.mailbox.state.live.values()
            self.mailed.update((sign_in.signin_id, mail.attempt) for sign_in in live for mail in sign_in.mails)

    @rule(seconds=st.sampled_from([0.001, 1, 10, 59, 60, 241, 299, 300, 3_599, 3_600, 86_400]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.wait(seconds)

    @rule(hold_mails=st.booleans(), hold_compares=st.booleans())
    def start_jobs(self, hold_mails: bool, hold_compares: bool) -> None:
        """Start jobs."""
        for job in self.world.take_jobs(hold_mails=hold_mails, hold_compares=hold_compares):
            assert not (hold_mails and isinstance(job, SendMail) and not job.trusted), "a held mail was started"
            assert not (hold_compares and isinstance(job, CompareCode)), "a held compare was started"
            self._account_for(job)

    @precondition(lambda self: self.world.jobs)
    @rule(data=st.data())
    def finish_job(self, data: st.DataObject) -> None:
        """Finish a job in flight, in any order, well or with a fault."""
        job = data.draw(st.sampled_from(self.world.jobs))
        fault = data.draw(st.sampled_from([None, None, None, "again", "never"]))

        if isinstance(job, CompareCode):
            if fault:
                self._refund(job)
            elif job.task.seal == RIGHT and job.signin_id in self.world.mailbox.state.live:
                self._succeed(job)

        self.world.finish(job, fault)

    @rule()
    def run_jobs(self) -> None:
        """Let every job succeed until none is left."""
        self.start_jobs(False, False)
        while self.world.jobs:
            job = self.world.jobs[0]
            if isinstance(job, CompareCode) and job.task.seal == RIGHT:
                if job.signin_id in self.world.mailbox.state.live:
                    self._succeed(job)

            self.world.finish(job)
            self.start_jobs(False, False)

    @rule()
    def continue_as_new(self) -> None:
        """Continue in a new run, whatever is in flight."""
        for job in [job for job in self.world.jobs if isinstance(job, CompareCode)]:
            self._refund(job)
        self.world.continue_as_new()

    @invariant()
    def results_are_in_order_and_end_once(self) -> None:
        """Check that a terminal result is the last one, and that repeats have the same bytes."""
        for signin_id in self.opened:
            results = [result for result in self.world.results(signin_id) if not _is_unknown_signin(result)]
            terminal = [place for place, result in enumerate(results) if result.type in TERMINAL_TYPES]

            assert terminal in ([], [len(results) - 1]), [summary(result) for result in results]

        values: dict[str, bytes] = {}
        for event in self.world.published:
            assert values.setdefault(event.event_id, event.value()) == event.value()

    @invariant()
    def only_the_right_code_succeeds(self) -> None:
        """Check that a success names a submission of the right code for the right account."""
        for result in self.world.results():
            if result.type == "signin.succeeded":
                assert result.submission_id in self.right_submissions[result.signin_id]

    @invariant()
    def wrong_codes_are_limited(self) -> None:
        """Check that a sign-in has no more wrong codes than tries."""
        rejections = [result for result in self.world.results() if isinstance(result, OtpRejected)]
        wrong = Counter(result.signin_id for result in rejections if result.reason == "wrong_code")

        assert all(count <= self.world.policy.otp.max_attempts for count in wrong.values())

    @invariant()
    def budgets_hold(self) -> None:
        """Check that no budget was exceeded in any window."""
        limits = self.limits
        strangers, trusted = _by_trust(self.mails)
        for mails in (strangers, trusted):
            _assert_window(mails, HOUR, limits.sends_per_hour)
            _assert_window(mails, DAY, limits.sends_per_day)

        _assert_networks(strangers, limits.sends_per_day // 2)

        for charges in self.charges.values():
            strangers, trusted = _by_trust(charges)
            _assert_window(strangers, HOUR, limits.failures_per_hour)
            _assert_window(strangers, DAY, limits.failures_per_day)
            _assert_networks(strangers, limits.failures_per_day // 2)
            _assert_window(trusted, DAY, limits.trusted_failures_per_day)

        for rows in self.rows.values():
            for row in _by_trust(rows):
                _assert_window(row, DAY, limits.failures_in_a_row)

    def teardown(self) -> None:
        """Check that every sign-in has ended, and that the mailbox forgets everything."""
        if not hasattr(self, "world"):
            return

        for _ in range(3):
            self.run_jobs()
            self.world.wait(300)
        self.run_jobs()

        self.results_are_in_order_and_end_once()
        ended = {result.signin_id for result in self.world.results() if result.type in TERMINAL_TYPES}
        assert ended == set(self.opened)

        for _ in range(2):  # it is late, and stays longer once
            self.world.wait(2 * 86_400)

        assert self.world.mailbox.is_done(self.world.now)

    def _account_for(self, job: object) -> None:
        """Charge a started job, as the mailbox should have done."""
        if isinstance(job, SendMail):
            assert self.world.now < job.until, "a mail of a code that has expired"

            if (job.signin_id, job.attempt) not in self.mailed:
                self.mailed.add((job.signin_id, job.attempt))
                self.mails.append(Spend(job.task.requested_at, self.opened[job.signin_id]))
        elif isinstance(job, CompareCode):
            charged = self.world.mailbox.state.live[job.signin_id].charged[-1]
            read_at = self.read_at[charged]

            assert read_at < job.until, "a compare of a code that came after the end"

            compared = [other.signin_id for other in self.world.jobs if isinstance(other, CompareCode)]

            assert compared.count(job.signin_id) == 1, "two compares of one sign-in"

            sign_in = self.opened[job.signin_id]
            for spends in (self.charges, self.rows):
                spends[sign_in["account"]].append(Spend(read_at, sign_in))

    def _refund(self, job: CompareCode) -> None:
        """Take back the last charge of this sign-in."""
        sign_in = self.opened[job.signin_id]

        for spends in (self.charges, self.rows):
            charges = spends[sign_in["account"]]
            own = [place for place, charge in enumerate(charges) if charge.sign_in is sign_in]
            if own:
                del charges[own[-1]]

    def _succeed(self, job: CompareCode) -> None:
        """Take back the charges of this sign-in, and begin a new row."""
        sign_in = self.opened[job.signin_id]
        account = sign_in["account"]

        self.rows[account].clear()
        self.charges[account] = [charge for charge in self.charges[account] if charge.sign_in is not sign_in]


def _is_unknown_signin(result: Result) -> bool:
    return summary(result) == "otp.rejected unknown_signin"


def _by_trust(spends: list[Spend]) -> tuple[list[Spend], list[Spend]]:
    """Return the spends of strangers and those of trusted devices."""
    strangers = [spend for spend in spends if not spend.sign_in["trusted"]]
    trusted = [spend for spend in spends if spend.sign_in["trusted"]]
    return strangers, trusted


def _assert_window(spends: list[Spend], span: timedelta, limit: int) -> None:
    times = sorted(spend.at for spend in spends)
    for first, one_more in zip(times, times[limit:], strict=False):
        assert one_more - first >= span, f"more than {limit} in {span}"


def _assert_networks(spends: list[Spend], limit: int) -> None:
    for network in (HOME, CAFE, "unknown"):
        own = [spend for spend in spends if spend.sign_in["network"] == network]
        _assert_window(own, DAY, limit)


TestMailbox = MailboxMachine.TestCase
TestMailbox.settings = settings(max_examples=150, stateful_step_count=40)
