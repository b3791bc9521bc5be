"""The most telling faults, each for a short time. ``make faults`` injects all of them for as long as it takes."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.local.places import StackError
from tests.faults.case import run
from tests.faults.programme import SHORT, named
from tests.faults.servers import Servers, running_servers

_CHOSEN = (
    "kill-after-result",
    "kill-after-mail",
    "temporal-killed",
    "broker-restart",
    "rebalance-storm",
    "offsets-reset",
    "fetcher-stalls-on",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[Servers]:
    """Give Kafka, Temporal and the small servers, all of which can be hurt."""
    try:
        async with running_servers() as running:
            yield running
    except StackError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.mark.timeout(600)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", _CHOSEN)
async def test_nothing_is_lost_and_nothing_happens_twice(servers: Servers, name: str) -> None:
    """By the ledger: every record has one end, results are right and in order, no mail too many; all by itself."""
    finding = await run(named(name), servers, SHORT)
    assert finding.holds, "\n".join([*finding.trouble, *finding.account.broken])
    assert finding.account.outcomes
