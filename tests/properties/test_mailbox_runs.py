"""Whatever comes in, a run stays small, and its budgets are those of rules that saw the same input in one run."""

from contextlib import closing
from datetime import timedelta
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.limits import Budget
from schemas.policy import Policy
from schemas.signals import Challenge, Refusal, Submission
from tests.fakes.driven_mailbox import DrivenMailbox, Signal
from tests.fakes.mailbox_world import ADA, CAFE, EVE, HOME, RIGHT, WRONG, MailboxWorld

MAX_EVENTS_EVER = 10_000
DAY_S = timedelta(days=1).total_seconds()


class Flood(NamedTuple):
    """``times`` signals of a kind, at a pace. ``which`` chooses among the sign-ins that were opened."""

    kind: str
    times: int
    per_second: float
    which: int


class Wait(NamedTuple):
    """Time passes."""

    seconds: float


class Outage(NamedTuple):
    """Kafka takes nothing any more, or everything again."""

    begins: bool


Action = Flood | Wait | Outage

_KINDS = ["unknown", "wrong", "right", "open", "again", "refuse", "eve"]
_floods = st.builds(
    Flood,
    st.sampled_from(_KINDS),
    st.sampled_from([1, 3, 10, 70, 700, 2_000]),
    st.sampled_from([0.5, 7.0, 60.0, 300.0]),
    st.integers(0, 3),
)
_waits = st.builds(Wait, st.sampled_from([1.0, 30.0, 400.0, 4_000.0, 0.9 * DAY_S, 1.5 * DAY_S]))
_actions = st.one_of(_floods, _floods, _waits, st.builds(Outage, st.booleans()))


class Both:
    """The driven workflow and the rules alone, which see the same signals at the same times."""

    def __init__(self, mailbox: DrivenMailbox) -> None:
        self.mailbox = mailbox
        self.model = MailboxWorld(Policy())
        self._opened = ["signin-000000000000000"]
        self._number = 0

    def do(self, action: Action) -> None:
        """Do it in both."""
        match action:
            case Flood():
                for _ in range(action.times):
                    self._signal(self._message(action))
                    self._wait(1 / action.per_second)
            case Wait():
                self._wait(action.seconds)
            case Outage(begins=True):
                self.mailbox.stop_kafka()
            case Outage():
                self.mailbox.start_kafka()

    def spent(self) -> tuple[dict[Budget, int], dict[Budget, int]]:
        """Return what is spent in both."""
        if self.mailbox.open_run is None:
            return {}, {name: use.last_day for name, use in self.model.limits().items() if use.last_day}

        by_workflow = {use.budget: use.last_day for use in self.mailbox.limits(ADA).budgets}
        return by_workflow, {name: use.last_day for name, use in self.model.limits().items()}

    def _signal(self, message: Signal) -> None:
        self.mailbox.signal(message)
        match message:
            case Challenge():
                self.model.mailbox.open_or_resend(message, f"nonce-{message.signin_id}", self.model.now)
            case Refusal():
                self.model.mailbox.refuse_resend(message, self.model.now)
            case Submission():
                self.model.mailbox.submit(message, self.model.now)

    def _wait(self, seconds: float) -> None:
        self.model.run_jobs()
        self.mailbox.wait(seconds)
        self.model.wait(seconds)
        self.model.run_jobs()

    def _message(self, action: Flood) -> Signal:
        self._number += 1
        signin_id = self._opened[-1 - action.which % len(self._opened)]

        match action.kind:
            case "unknown":
                return self._submission(f"signin-none-{self._number:011}", WRONG)
            case "wrong":
                return self._submission(signin_id, WRONG)
            case "eve":
                return self._submission(signin_id, WRONG, EVE)
            case "right":
                return self._submission(signin_id, RIGHT)
            case "refuse":
                attempt = 2 + self._number % 19
                return Refusal(signin_id=signin_id, attempt=attempt, reason="stale", decided_at=self.model.now)
            case "again":
                return self._challenge(signin_id, 2 + self._number % 19, action.which)
            case _:
                self._opened.append(f"signin-{self._number:015}")
                return self._challenge(self._opened[-1], 1, action.which)

    def _challenge(self, signin_id: str, attempt: int, which: int) -> Challenge:
        return Challenge(
            signin_id=signin_id,
            attempt=attempt,
            email="ada@example.com",
            account=ADA,
            requested_at=self.model.now,
            born_at=self.model.now,
            decided_at=self.model.now,
            key_id="k",
            network=(HOME, CAFE)[which % 2],
            trusted=which == 3,  # noqa: PLR2004 - one in four
            policy=self.model.policy,
        )

    def _submission(self, signin_id: str, seal: str, account: str = ADA) -> Submission:
        return Submission(
            signin_id=signin_id,
            submission_id=f"submission-{self._number:011}",
            account=account,
            seal=seal,
            key_id="k",
            submitted_at=self.model.now,
            read_at=self.model.now,
        )


@pytest.mark.timeout(300)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(_actions, min_size=3, max_size=10))
def test_no_input_fills_a_run_or_changes_a_budget(actions: list[Action]) -> None:
    """Mails and publications take their time in the workflow and none in the model: that changes no budget."""
    with closing(DrivenMailbox()) as mailbox:
        both = Both(mailbox)
        both.do(Flood("open", 1, 1.0, 0))

        for action in actions:
            both.do(action)
            both.do(Wait(1.0))  # the last signals are in a workflow task to come
            by_workflow, by_rules = both.spent()

            assert by_workflow == by_rules

        mailbox.start_kafka()
        mailbox.wait(DAY_S)

        assert max(run.events for run in mailbox.runs) < MAX_EVENTS_EVER
        assert max(len(run.content.model_dump_json()) for run in mailbox.runs) < 512 * 1024
