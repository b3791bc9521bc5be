"""All cases, in the order in which the report lists them."""

from typing import Final

from tests.faults.case import Case
from tests.faults.cases import (
    backlog,
    cluster,
    credentials,
    elections,
    events,
    floods,
    groups,
    kills,
    long_run,
    operators,
    outages,
    recovery,
    refusals,
    scaling,
    temporal_services,
    topics,
)
from tests.faults.stage import Scale

CASES: Final[tuple[Case, ...]] = (
    *kills.CASES,
    *recovery.CASES,
    *outages.CASES,
    *groups.CASES,
    *scaling.CASES,
    *floods.CASES,
    *backlog.CASES,
    *refusals.CASES,
    *events.CASES,
    *operators.CASES,
    *cluster.CASES,
    *topics.CASES,
    *elections.CASES,
    *credentials.CASES,
    *long_run.CASES,
)
CLUSTER_CASES: Final[tuple[Case, ...]] = temporal_services.CASES
"""Those that need Temporal as it runs in production, which takes minutes to build."""

FULL: Final = Scale()
SHORT: Final = Scale(kills=3, outage_s=5, pause_s=1, flood=200, every_s=0.5, rounds=1)


def case_named(name: str) -> Case:
    """Return the case with this name. Raises ``KeyError``."""
    return {case.name: case for case in (*CASES, *CLUSTER_CASES)}[name]
