"""The chance of guessing (SECURITY S18) holds for any schedule of the owner's successes."""

from datetime import datetime, timedelta
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.policy import Policy
from tests.fakes.mailbox_world import RIGHT, WRONG, MailboxWorld
from utils.settings.guesses import guess_probability
from workflows.rules.jobs import CompareCode

POLICY = Policy()
TRIES_PER_DAY = POLICY.limits.failures_per_day + POLICY.limits.trusted_failures_per_day
DAY = timedelta(days=1)


class Attack(NamedTuple):
    """Open a sign-in from some network, and use every try."""

    network: int
    trusted: bool


class Success(NamedTuple):
    """The owner signs in, after ``mistakes``."""

    network: int
    trusted: bool
    mistakes: int


_networks = st.integers(0, 3)
_acts = st.one_of(
    st.builds(Attack, _networks, st.booleans()),
    st.builds(Success, _networks, st.booleans(), st.integers(0, 4)),
)
_schedules = st.lists(
    st.tuples(st.sampled_from([0.0, 61.0, 1_800.0, 3_600.0, 20_000.0]), _acts), min_size=40, max_size=120
)


class Siege:
    """A mailbox, its owner, and an attacker whose compares are counted."""

    def __init__(self) -> None:
        self.world = MailboxWorld(POLICY)
        self.guesses: list[datetime] = []
        self.successes = 0

    def attack(self, attack: Attack) -> None:
        """Guess until the sign-in ends."""
        signin_id = self._open(attack)
        for _ in range(POLICY.otp.max_attempts):
            self.world.submit(signin_id, WRONG)
            self.guesses += [self.world.now] * self._compare()

    def succeed(self, success: Success) -> None:
        """Sign in, unless the budgets forbid it."""
        signin_id = self._open(success)
        for _ in range(success.mistakes):
            self.world.submit(signin_id, WRONG)
        self.world.submit(signin_id, RIGHT)
        self._compare()
        self.successes += "signin.succeeded" in self.world.outcomes(signin_id)

    def _open(self, act: Attack | Success) -> str:
        return self.world.mailed_sign_in(network=f"192.0.{act.network}.0/24", trusted=act.trusted)

    def _compare(self) -> int:
        """Run all jobs; return how many of them were compares."""
        compares = 0
        while self.world.take_jobs() or self.world.jobs:
            compares += isinstance(self.world.jobs[0], CompareCode)
            self.world.finish(self.world.jobs[0])
        return compares


@settings(max_examples=100)
@given(schedule=_schedules)
def test_no_schedule_of_successes_buys_a_guess(schedule: list[tuple[float, Attack | Success]]) -> None:
    """In no day has an attacker more tries than the budgets of strangers and of trusted devices together."""
    siege = Siege()
    for pause_s, act in schedule:
        siege.world.wait(pause_s)
        if isinstance(act, Attack):
            siege.attack(act)
        else:
            siege.succeed(act)

    for first, one_more in zip(siege.guesses, siege.guesses[TRIES_PER_DAY:], strict=False):
        assert one_more - first >= DAY, f"more than {TRIES_PER_DAY} tries in a day"


def test_an_owner_who_signs_in_every_hour_leaves_the_probability_as_it_is() -> None:
    """What is computed from the settings at the start is an upper bound: here for some weeks of a year."""
    days = 30
    siege = Siege()
    for hour in range(24 * days):
        siege.succeed(Success(3, trusted=True, mistakes=1))
        for trusted in (False, True):
            siege.attack(Attack(hour % 4, trusted))
        siege.world.published.clear()
        siege.world.wait(3_600)

    chance = len(siege.guesses) / 10**POLICY.otp.digits
    of_a_year = guess_probability(digits=POLICY.otp.digits, tries_per_day=TRIES_PER_DAY)

    assert siege.successes >= days
    assert 0 < chance <= of_a_year * days / 365
