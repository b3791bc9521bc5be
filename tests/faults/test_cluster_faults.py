"""A selection of the faults of a cluster of three brokers, each brief. ``make faults`` injects all of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.local.places import StackError
from tests.faults.case import run
from tests.faults.programme import SHORT, case_named
from tests.faults.servers import Servers, running_servers

_SELECTED = (
    "broker-killed",
    "brokers-rolled",
    "two-brokers-away",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Servers]:
    """Run three Kafka brokers, Temporal and the small servers, all of which can be broken."""
    try:
        async with running_servers(brokers=3) as running:
            yield running
    except StackError as error:
        pytest.fail(str(error), pytrace=False)


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
