"""What support asks a mailbox about its budgets, and tells it to give back."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.fields import Message, Timestamp

Budget = Literal["mails", "trusted mails", "failures", "trusted failures"]

Operator = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.@+-]+$")]
"""Who clears limits: a name for the audit trail."""


class LimitsQuery(Message):
    """Argument of the query ``limits``: about which account (its pseudonym), and when."""

    account: str
    as_of: Timestamp


class BudgetUse(Message):
    """How much of one budget is spent. A limit that is not there is None; so is ``free_at`` if there is room now.

    ``by_one_network`` is what the network that spent most has spent in a day.
    """

    budget: Budget
    last_hour: int
    most_per_hour: int | None
    last_day: int
    most_per_day: int
    by_one_network: int
    most_by_one_network: int | None
    in_a_row: int | None
    most_in_a_row: int | None
    free_at: Timestamp | None


class LimitsReport(Message):
    """Answer to the query ``limits``: the mailbox's budgets of mails, the account's of failures, live sign-ins."""

    budgets: tuple[BudgetUse, ...]
    live: int


class Clearing(Message):
    """Argument of the update ``clear_limits``: which budgets an operator gives back, in full."""

    account: str
    mails: bool
    failures: bool
    operator: Operator
    masked: str
