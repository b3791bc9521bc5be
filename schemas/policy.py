"""The settings that the workflows decide by.

A decision must come out the same whenever it is replayed, so these settings travel in the
workflows' inputs and are part of history. A sign-in keeps the settings it was accepted under; a
mailbox uses the newest it was given.
"""

from pydantic import Field

from schemas.fields import Message


class OtpPolicy(Message):
    """Settings of the one-time code. Durations are whole seconds."""

    digits: int = Field(8, ge=6, le=10)
    lifetime_s: int = Field(300, ge=5, le=600)
    max_attempts: int = Field(5, ge=1, le=5)
    shortest_resend_s: int = Field(60, ge=0)


class LimitPolicy(Message):
    """Budgets: mails per mailbox, failures per account.

    A daily budget is at least 2, because one network may use half of it.
    """

    send_cooldown_s: int = Field(60, ge=0)
    sends_per_hour: int = Field(5, ge=1)
    sends_per_day: int = Field(20, ge=2)
    failures_per_hour: int = Field(10, ge=1)
    failures_per_day: int = Field(20, ge=2)
    failures_in_a_row: int = Field(100, ge=1)
    trusted_failures_per_day: int = Field(5, ge=1)


class TimePolicy(Message):
    """How long the workflows wait, in seconds."""

    max_event_age_s: int = Field(300, ge=1)
    unknown_signin_wait_s: float = Field(10, gt=0, le=60)
    first_attempt_wait_s: float = Field(60, gt=0, le=600)
    challenge_s: float = Field(30, gt=0, le=300)
    mail_attempt_s: float = Field(10, gt=0, le=60)
    linger_s: int = Field(86_400, ge=1)


class Policy(Message):
    """All settings that the workflows decide by."""

    otp: OtpPolicy = OtpPolicy()
    limits: LimitPolicy = LimitPolicy()
    times: TimePolicy = TimePolicy()
    mail_task_queue: str = "signin-mail"
    signals_per_run: int = Field(1_000, ge=1)
    search_attributes: bool = False
