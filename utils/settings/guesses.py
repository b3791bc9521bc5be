"""How likely a year of guessing opens one account (SECURITY S18)."""

from typing import Final

MAX_GUESS_PROBABILITY: Final = 1e-4
_DAYS_PER_YEAR: Final = 365


def guess_probability(*, digits: int, tries_per_day: int) -> float:
    """Return the probability that someone who uses every try of every day for a year hits a code once.

    This is an upper bound. Each try has one chance in ``10 ** digits``, and the probability
    of any success is at most the sum over all tries. Repeated tries on one code do not
    exceed that: together they have at most one chance each. A success gives back the tries of
    its own sign-in alone, so whatever the owner does, others have no more tries than these.
    """
    return float(min(1.0, tries_per_day * _DAYS_PER_YEAR / 10**digits))
