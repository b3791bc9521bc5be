"""Recording rules and burn-rate alerts for the objectives, as YAML: ``deploy/prometheus/slo.yml``.

Multiwindow, multi-burn-rate alerts: The Site Reliability Workbook, chapter 5, table 5-8.
"""

from dataclasses import dataclass
from typing import Any, Final

import yaml

from deploy.local.places import PROJECT
from deploy.prometheus.objectives import BUDGET_LEFT, BUDGET_WINDOW, ERRORS, OBJECTIVE, OBJECTIVES, Objective
from deploy.prometheus.runbook import runbook_url

FILE: Final = PROJECT / "deploy" / "prometheus" / "slo.yml"

MIN_BAD_EVENTS: Final = 5
"""So few bad events alert nobody, whatever their share: at night, one in ten may be a single mail."""

_HEAD: Final = """# Recording rules and alerts for the objectives. Written by python -m deploy.prometheus from
# deploy/prometheus/objectives.py: change it there. docs/slo.md explains the objectives, docs/runbook.md the alerts.
"""


class _Dumper(yaml.SafeDumper):
    """Repeats what occurs twice, instead of naming it."""

    def ignore_aliases(self, data: Any) -> bool:
        """Have no aliases."""
        return True


@dataclass(frozen=True)
class Burn:
    """A burn rate that alerts: with it, ``consumed`` of the month's budget is gone within the long window."""

    severity: str
    rate: float
    long: str
    short: str
    consumed: str


BURNS: Final = (
    Burn("page", 14.4, "1h", "5m", "2%"),
    Burn("page", 6, "6h", "30m", "5%"),
    Burn("ticket", 3, "1d", "2h", "10%"),
    Burn("ticket", 1, "3d", "6h", "10%"),
)
WINDOWS: Final = tuple(dict.fromkeys(window for burn in BURNS for window in (burn.short, burn.long)))


def rendered() -> str:
    """Return the text of the file."""
    alerts = [_alert(objective, severity) for objective in OBJECTIVES for severity in _severities()]
    # One group, because Prometheus evaluates the rules of a group in order: alerts see what was recorded just now.
    groups = [{"name": "signin-worker-slo", "interval": "30s", "rules": [*_recorded(), *alerts]}]
    body = yaml.dump({"groups": groups}, Dumper=_Dumper, sort_keys=False, width=120)
    return f"{_HEAD}{body}"


def _severities() -> tuple[str, ...]:
    return tuple(dict.fromkeys(burn.severity for burn in BURNS))


def _recorded() -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    for objective in OBJECTIVES:
        labels = {"slo": objective.slo}
        month = objective.errors(BUDGET_WINDOW)
        left = f"1 - ({month}) / {_allowed(objective)}"

        rules.append({"record": OBJECTIVE, "expr": f"vector({objective.share})", "labels": labels})
        for window in WINDOWS:
            rules.append({"record": f"{ERRORS}{window}", "expr": objective.errors(window), "labels": labels})
        rules.append({"record": BUDGET_LEFT, "expr": left, "labels": labels})
    return rules


def _alert(objective: Objective, severity: str) -> dict[str, Any]:
    burns = [burn for burn in BURNS if burn.severity == severity]
    allowed = _allowed(objective)
    conditions = [_burning(objective, burn, allowed) for burn in burns]
    rates = " or ".join(f"{burn.consumed} within {burn.long}" for burn in burns)

    return {
        "alert": objective.alert,
        "expr": " or ".join(conditions),
        "labels": {"severity": severity},
        "annotations": {
            "summary": f"The error budget burns too fast. {objective.sentence}: {objective.share:.1%} of the time.",
            "description": f"{{{{ $value | humanizePercentage }}}} are bad; of a month's budget went {rates}.",
            "runbook_url": runbook_url(objective.alert),
        },
    }


def _burning(objective: Objective, burn: Burn, allowed: str) -> str:
    mine = f'{{slo="{objective.slo}"}}'
    limit = f"{burn.rate:g} * {allowed}"

    return (
        f"({ERRORS}{burn.long}{mine} > {limit} and {ERRORS}{burn.short}{mine} > {limit}"
        f" and on () {objective.bad(burn.long)} > {MIN_BAD_EVENTS})"
    )


def _allowed(objective: Objective) -> str:
    """Return the share of events that may be bad."""
    return f"{1 - objective.share:.4g}"
