"""The most telling attacks, on a small scale. ``make redteam`` tries all, with all their weight."""

import pytest

from deploy.local.places import StackError
from tests.faults.servers import running_servers
from tests.redteam.programme import CHOSEN, SHORT, findings


@pytest.mark.timeout(300)
async def test_no_attack_gets_more_through_than_the_settings_allow() -> None:
    """One worker stands all of them, one after the other; then all that they left behind is searched for secrets."""
    try:
        async with running_servers() as servers:
            found = [finding async for finding in findings(servers, SHORT, CHOSEN)]
    except StackError as error:
        pytest.fail(str(error), pytrace=False)

    assert [finding.name for finding in found] == list(CHOSEN)

    broken = [f"{one.name}: {one.problems or one.counts}" for one in found if not one.holds]

    assert not broken, "\n".join(broken)
