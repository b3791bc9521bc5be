"""The settings that the workflows decide by: defaults, ranges and help texts.

A decision must come out the same whenever it is replayed, so these settings travel in the
workflows' inputs and are part of history. A sign-in keeps the settings it was accepted
under; a mailbox uses the newest it was given.
"""

from typing import Final

from pydantic import ConfigDict, Field

from schemas.fields import Message

MAX_EVENT_AGE_S: Final = 300
YEAR_S: Final = 365 * 86_400
"""No duration is longer: a time that is too far away cannot be computed, which would end sign-ins half-way."""
SHORTEST_TRY_S: Final = 0.1
"""No try has less time: a timeout below a microsecond is rounded to none at all."""


class _Part(Message):
    model_config = ConfigDict(use_attribute_docstrings=True)


class OtpPolicy(_Part):
    """Settings of the one-time code. Durations are whole seconds."""

    digits: int = Field(8, ge=6, le=10)
    """Digits in a code (6 to 10)"""
    lifetime_s: int = Field(300, ge=5, le=600)
    """Seconds that a code is valid (5 to 600)"""
    max_attempts: int = Field(5, ge=1, le=5)
    """Tries to enter the code of one sign-in (1 to 5)"""
    shortest_resend_s: int = Field(60, ge=0, le=YEAR_S)
    """A code that expires in fewer seconds is not sent again"""


class LimitPolicy(_Part):
    """Budgets: mails per mailbox, failures per account.

    A daily budget is at least 2, because one network may use half of it.
    """

    send_cooldown_s: int = Field(60, ge=0, le=YEAR_S)
    """Seconds between two mails of one sign-in"""
    sends_per_hour: int = Field(5, ge=1)
    """Mails per mailbox and hour"""
    sends_per_day: int = Field(20, ge=2)
    """Mails per mailbox and day (at least 2); one client network may use half"""
    failures_per_hour: int = Field(10, ge=1)
    """Wrong codes per account and hour"""
    failures_per_day: int = Field(20, ge=2)
    """Wrong codes per account and day (at least 2); one client network may use half"""
    failures_in_a_row: int = Field(100, ge=1)
    """Consecutive wrong codes after which an account is locked for a day"""
    trusted_failures_per_day: int = Field(5, ge=1)
    """Wrong codes per account and day from trusted devices"""


class WaitPolicy(_Part):
    """How long the workflows wait, in seconds."""

    unknown_signin_wait_s: float = Field(10, gt=0, le=60)
    """Seconds that a submitted code waits for its sign-in to appear"""
    first_attempt_wait_s: float = Field(60, gt=0, le=600)
    """Seconds that attempts 2 and up wait for attempt 1"""
    challenge_s: float = Field(30, ge=SHORTEST_TRY_S, le=300)
    """Seconds to keep trying Turnstile"""
    mail_attempt_s: float = Field(10, ge=SHORTEST_TRY_S, le=60)
    """Timeout of a single try to send a mail, in seconds"""
    linger_s: int = Field(86_400, ge=1, le=YEAR_S)
    """Seconds that a mailbox stays open after its last mail or failure; budgets look back one day"""


class TimePolicy(WaitPolicy):
    """How long the workflows wait, and how old an event may be."""

    max_event_age_s: int = Field(MAX_EVENT_AGE_S, ge=1, le=YEAR_S)


class Policy(Message):
    """All settings that the workflows decide by."""

    otp: OtpPolicy = OtpPolicy()
    limits: LimitPolicy = LimitPolicy()
    times: TimePolicy = TimePolicy()
    mail_task_queue: str = "signin-mail"
    signals_per_run: int = Field(1_000, ge=1)
    search_attributes: bool = False
