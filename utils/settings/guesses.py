"""How likely a year of guessing opens one account (SECURITY S18)."""

from typing import Final

MOST_LIKELY_GUESS: Final = 1e-4
_DAYS_OF_A_YEAR: Final = 365


def guess_probability(*, digits: int, tries_per_day: int) -> float:
    """Return the chance that someone who spends every try of every day for a year meets a code once.

    An upper bound: each try has one chance in ``10 ** digits``, and chances of single tries add up at most. A try on a
    code that was missed before is no likelier than that in total: all tries on one code together have at most their
    number of chances. Tries that the owner's own success gives back are not counted, since no guesser can ask for them.
    """
    return float(min(1.0, tries_per_day * _DAYS_OF_A_YEAR / 10**digits))
