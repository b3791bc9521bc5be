"""A selection of the faults of a cluster of three brokers, each brief. ``make faults`` injects all of them."""

import pytest

from tests.faults.case import run
from tests.faults.programme import SHORT, case_named
from tests.faults.servers import Servers

_SELECTED = (
    "broker-killed",
    "brokers-rolled",
    "two-brokers-away",
)


@pytest.mark.timeout(300)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", _SELECTED)
async def test_nothing_is_lost_and_nothing_happens_twice(cluster: Servers, name: str) -> None:
    """Each record has one outcome and no partition is blocked, whichever brokers are away."""
    case = case_named(name)
    finding = await run(case, cluster, SHORT)

    assert finding.holds, "\n".join(finding.all_problems)
    assert finding.audit.outcomes
    assert (finding.second_opinion is not None) == case.recorded
