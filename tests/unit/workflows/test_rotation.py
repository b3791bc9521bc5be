"""Payload keys are rotated and dropped while a mailbox lives for weeks (SECURITY S17; the real workflow, driven).

A worker that has not seen a run reads its whole history. So each time a mailbox has work to
do, the ring must hold every key that anything in the history of that run is encrypted with.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from tests.fakes.driven_mailbox import DrivenMailbox
from tests.fakes.driven_people import flood, outcomes, sign_in
from tests.fakes.mailbox_world import RIGHT, START, WRONG
from tests.fakes.workflow_runs import Run
from workflows.run_limits import LAST_AGE

DROP_AFTER = timedelta(hours=26)
"""The rule of ``docs/installation.md``: so long after it left the front, no run needs a key."""

ROTATE_EVERY = timedelta(days=5)
WEEKS = timedelta(weeks=5)


class Rotation:
    """An operator who brings a new key to the front every five days, and drops the old one a day later."""

    def __init__(self, mailbox: DrivenMailbox) -> None:
        self.dropped: list[str] = []
        self._mailbox = mailbox
        self._ring = [mailbox.newest_key]
        self._rotated_at: datetime = START
        mailbox.on_task = self._read_history

    def go_on(self) -> None:
        """Rotate, or drop the old key, if it is time."""
        now = self._mailbox.now
        if now - self._rotated_at >= ROTATE_EVERY:
            self._rotated_at = now
            self._mailbox.newest_key = f"k{len(self.dropped) + 2}"
            self._ring.insert(0, self._mailbox.newest_key)
        elif len(self._ring) > 1 and now - self._rotated_at >= DROP_AFTER:
            self.dropped.append(self._ring.pop())

    def _read_history(self, run: Run) -> None:
        unknown = run.key_ids - set(self._ring)
        age = self._mailbox.now - run.started_at
        assert not unknown, f"a run of {age} needs {unknown}, the ring has {self._ring}"


@pytest.fixture
def mailbox() -> Iterator[DrivenMailbox]:
    """Give a mailbox that nobody has written to yet."""
    with closing(DrivenMailbox()) as mailbox:
        yield mailbox


def live(mailbox: DrivenMailbox, rotation: Rotation, every: timedelta) -> int:
    """Let the owner sign in at this pace for some weeks. Return how often."""
    number = 0
    while mailbox.now - START < WEEKS:
        sign_in(mailbox, f"signin-{number:016}", WRONG, RIGHT)
        number += 1
        next_at = mailbox.now + every
        while mailbox.now < next_at:
            mailbox.wait(min(timedelta(hours=1), next_at - mailbox.now).total_seconds())
            rotation.go_on()

    return number


@pytest.mark.parametrize("hours", [2.5, 21.6, 23.99, 24.5, 30])
def test_old_payload_keys_can_be_dropped_after_a_day(mailbox: DrivenMailbox, hours: float) -> None:
    """Nobody is locked out by a rotation, however often they sign in."""
    rotation = Rotation(mailbox)
    count = live(mailbox, rotation, timedelta(hours=hours))

    assert len(rotation.dropped) >= 5
    assert all("signin.succeeded" in outcomes(mailbox, f"signin-{number:016}") for number in range(count))


def test_a_result_that_waits_for_kafka_needs_no_dropped_key(mailbox: DrivenMailbox) -> None:
    """A run that cannot rest is replaced, too, and what it publishes is encrypted anew."""
    rotation = Rotation(mailbox)
    mailbox.stop_kafka()
    flood(mailbox, 300, per_second=20)
    count = live(mailbox, rotation, timedelta(hours=13))
    mailbox.start_kafka()
    mailbox.wait(60)

    assert len(rotation.dropped) >= 5
    assert all("signin.succeeded" in outcomes(mailbox, f"signin-{number:016}") for number in range(count))


def test_the_rule_leaves_time_for_the_last_sign_in_of_a_run() -> None:
    """A run is replaced after 25 hours at the latest; a sign-in in progress delays that by a mail's try."""
    assert DROP_AFTER - LAST_AGE >= timedelta(minutes=10)
