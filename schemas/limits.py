"""How support looks at the budgets of a mailbox and clears them."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.fields import Message, Timestamp

Budget = Literal["mails", "trusted mails", "failures", "trusted failures"]

Operator = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.@+-]+$")]
"""Who clears the limits: a name for the audit trail."""


class LimitsQuery(Message):
    """Argument of the query ``limits``: an account's pseudonym, and the time to report for."""

    account: str
    as_of: Timestamp


class BudgetUse(Message):
    """How much of one budget is spent.

    A limit that does not exist is None. ``free_at`` is None if there is room now.
    ``by_one_network`` is the largest share that a single network has spent in a day.
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
    """Answer to the query ``limits``: all budgets, and the number of live sign-ins."""

    budgets: tuple[BudgetUse, ...]
    live: int


class Clearing(Message):
    """Argument of the update ``clear_limits``: which budgets an operator clears."""

    account: str
    mails: bool
    failures: bool
    operator: Operator
    masked: str
