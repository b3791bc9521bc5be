"""What people may expect: the service level objectives, and how Prometheus measures each.

Measured by events, not by time: the share of good ones among those that count. docs/slo.md says what counts, and why.
"""

from dataclasses import dataclass
from typing import Final

ERRORS: Final = "signin:slo_errors:ratio_rate"
"""The recorded share of bad events, with the window as suffix and the label ``slo``."""

OBJECTIVE: Final = "signin:slo_objective:ratio"
BUDGET_LEFT: Final = "signin:slo_budget_left:ratio"
BUDGET_WINDOW: Final = "30d"

_JOB: Final = 'job="signin-worker"'
_NOT_MAILED: Final = 'reason=~"challenge_unavailable|delivery_failed|stale"'


@dataclass(frozen=True)
class Objective:
    """One objective. ``good`` and ``counted`` are the metrics whose rates are summed, with their matchers."""

    slo: str
    alert: str
    sentence: str
    share: float
    good: tuple[str, ...]
    counted: tuple[str, ...]

    def errors(self, window: str) -> str:
        """Return the expression of the share of bad events in a window."""
        return f"1 - {_rates(self.good, window)} / {_rates(self.counted, window)}"

    def bad(self, window: str) -> str:
        """Return the expression of the number of bad events in a window."""
        return f"{_rates(self.counted, window, 'increase')} - {_rates(self.good, window, 'increase')}"


def _rates(metrics: tuple[str, ...], window: str, function: str = "rate") -> str:
    sums = [f"sum({function}({metric}[{window}]))" for metric in metrics]
    return sums[0] if len(sums) == 1 else f"({' + '.join(sums)})"


def _under(histogram: str, seconds: float) -> tuple[str, ...]:
    return (f'{histogram}_bucket{{{_JOB},le="{seconds:.1f}"}}',)


def _all(histogram: str) -> str:
    return f"{histogram}_count{{{_JOB}}}"


OBJECTIVES: Final = (
    Objective(
        slo="mail",
        alert="SigninMailBudget",
        sentence="The mail server accepts a mail within 30 s of its request",
        share=0.995,
        good=_under("signin_request_to_mail_seconds", 30),
        counted=(_all("signin_request_to_mail_seconds"), f"signin_results_total{{{_JOB},{_NOT_MAILED}}}"),
    ),
    Objective(
        slo="verdict",
        alert="SigninVerdictBudget",
        sentence="Kafka has the verdict on a code within 2 s of its submission",
        share=0.999,
        good=_under("signin_verdict_seconds", 2),
        counted=(_all("signin_verdict_seconds"),),
    ),
    Objective(
        slo="results",
        alert="SigninResultsBudget",
        sentence="A result is at most 60 s old when Kafka takes it",
        share=0.999,
        good=_under("signin_result_age_seconds", 60),
        counted=(_all("signin_result_age_seconds"),),
    ),
)
