"""The numbers that the workflows decide by.

They are settings; since a decision must replay the same for ever, they travel in the workflows' inputs and so stand in
history. A sign-in keeps the numbers it was accepted under, a mailbox uses the newest it was handed.
"""

from pydantic import Field

from schemas.fields import Message


class OtpPolicy(Message):
    """The one-time code. Seconds are whole."""

    digits: int = Field(8, ge=6, le=10)
    lifetime_s: int = Field(300, ge=5, le=600)
    max_attempts: int = Field(5, ge=1, le=5)
    shortest_resend_s: int = Field(60, ge=0)


class LimitPolicy(Message):
    """Budgets: sends per mailbox, failures per account. A day's are at least 2: one network gets half."""

    send_cooldown_s: int = Field(60, ge=0)
    sends_per_hour: int = Field(5, ge=1)
    sends_per_day: int = Field(20, ge=2)
    failures_per_hour: int = Field(10, ge=1)
    failures_per_day: int = Field(20, ge=2)
    failures_in_a_row: int = Field(100, ge=1)
    trusted_failures_per_day: int = Field(5, ge=1)


class TimePolicy(Message):
    """How long the workflows wait for others. Seconds."""

    max_event_age_s: int = Field(300, ge=1)
    unknown_signin_wait_s: float = Field(10, gt=0, le=60)
    first_attempt_wait_s: float = Field(60, gt=0, le=600)
    challenge_s: float = Field(30, gt=0, le=300)
    mail_attempt_s: float = Field(10, gt=0, le=60)
    linger_s: int = Field(86_400, ge=1)


class Policy(Message):
    """All of them."""

    otp: OtpPolicy = OtpPolicy()
    limits: LimitPolicy = LimitPolicy()
    times: TimePolicy = TimePolicy()
    mail_task_queue: str = "signin-mail"
    signals_per_run: int = Field(1_000, ge=1)
    search_attributes: bool = False
