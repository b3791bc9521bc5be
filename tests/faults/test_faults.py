"""A selection of faults, each injected briefly. ``make faults`` injects all of them at full length."""

import pytest

from tests.faults.case import run
from tests.faults.programme import SHORT, case_named
from tests.faults.servers import Servers

_SELECTED = (
    "kill-after-result",
    "kill-after-mail",
    "temporal-killed",
    "broker-restart",
    "rebalance-storm",
    "offsets-reset",
    "fetcher-stalls-on",
)


@pytest.mark.timeout(600)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", _SELECTED)
async def test_nothing_is_lost_and_nothing_happens_twice(servers: Servers, name: str) -> None:
    """Each record has one outcome, results are right and in order, and no extra mail is sent; recovery is automatic."""
    finding = await run(case_named(name), servers, SHORT)

    assert finding.holds, "\n".join(finding.all_problems)
    assert finding.audit.outcomes
