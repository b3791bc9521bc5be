"""Support and a real mailbox: what is spent is seen, given back, and told."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.errors import TemporalUnavailable
from deploy.local.servers.temporal import LocalTemporal
from schemas.limits import Clearing
from tests.fakes.stage import ADA, Stage
from tests.fakes.waiting import until
from utils.temporal.client import connect
from utils.temporal.limits import TemporalLimits


@pytest.fixture
async def stage(temporal_client: Client) -> AsyncIterator[Stage]:
    """Give both workflows at work on a real server."""

    async def now() -> datetime:
        return datetime.now(UTC)

    async with Stage(temporal_client, now).working() as stage:
        yield stage


def mailbox(stage: Stage) -> str:
    """Return the pseudonym of Ada's mailbox."""
    return stage.mailbox_id().split("/")[1]


def clearing(stage: Stage) -> Clearing:
    """Give all back to Ada."""
    return Clearing(account=stage.account(), mails=True, failures=True, operator="grace", masked="a***@e***.com")


async def test_a_locked_account_is_seen_cleared_and_signs_in(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """The audit trail tells by whom, once, and no address."""
    limits = TemporalLimits(stage.client)
    for _ in range(2):
        signin_id = await stage.signed_in()
        for _ in range(5):
            await stage.submit(signin_id, "wrong")
        await until(lambda: stage.outcomes(signin_id)[-1] == "signin.failed too_many_attempts")

    locked = await stage.request()
    await locked.result()
    await until(lambda: stage.outcomes(locked.id.split("/")[1]) == ["signin.rejected locked"])
    with caplog.at_level(logging.INFO, logger="audit"):
        before = await limits.clear(mailbox(stage), clearing(stage))

    assert before is not None and before.budgets[2].last_hour == 10
    assert before.budgets[2].free_at is not None

    (told,) = [vars(record) for record in caplog.records if record.message == "authz_admin"]

    assert (told["operator"], told["account"]) == ("grace", stage.account())
    assert ADA not in str(told)

    after = await limits.show(mailbox(stage), stage.account())

    assert after is not None and [use.last_day for use in after.budgets] == [0, 0, 0, 0]

    signin_id = await stage.signed_in()
    await stage.submit(signin_id, stage.code())
    await until(lambda: stage.outcomes(signin_id)[-1] == "signin.succeeded")


async def test_who_did_nothing_has_spent_nothing(stage: Stage) -> None:
    """There is no mailbox to ask, nor to clear."""
    limits = TemporalLimits(stage.client)
    assert await limits.show("nobody", stage.account()) is None
    assert await limits.clear("nobody", clearing(stage)) is None


async def test_a_server_out_of_reach_is_told(stage: Stage) -> None:
    """And so is a namespace that is not there: both are no empty answer."""
    nowhere = await connect({"k": b"k" * 32}, environ={"TEMPORAL_ADDRESS": "127.0.0.1:1"}, lazy=True)
    address = stage.client.service_client.config.target_host
    no_namespace = await Client.connect(
        address, namespace=f"not-{LocalTemporal.namespace}", data_converter=pydantic_data_converter
    )

    for client in (nowhere, no_namespace):
        with pytest.raises(TemporalUnavailable):
            await TemporalLimits(client).show("nobody", "nobody")
        with pytest.raises(TemporalUnavailable):
            await TemporalLimits(client).clear("nobody", clearing(stage))
