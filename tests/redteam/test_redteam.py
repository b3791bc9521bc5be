"""A selection of attacks at a small scale. ``make redteam`` runs all of them at full scale."""

import pytest

from deploy.local.places import StackError
from tests.faults.servers import running_servers
from tests.redteam.programme import SELECTED, SHORT, findings


@pytest.mark.timeout(300)
async def test_no_attack_achieves_more_than_the_settings_allow() -> None:
    """One worker withstands all attacks in turn, and a search of everything they left behind finds no secret."""
    try:
        async with running_servers() as servers:
            found = [finding async for finding in findings(servers, SHORT, SELECTED)]
    except StackError as error:
        pytest.fail(str(error), pytrace=False)

    assert [finding.name for finding in found] == list(SELECTED)

    broken = [f"{one.name}: {one.problems or one.counts}" for one in found if not one.holds]

    assert not broken, "\n".join(broken)
