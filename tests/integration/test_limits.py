"""Support shows and clears the limits of a mailbox on a real server."""

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
    """Give both workflows running on a real server."""

    async def now() -> datetime:
        return datetime.now(UTC)

    async with Stage(temporal_client, now).working() as stage:
        yield stage


def mailbox(stage: Stage) -> str:
    """Return the pseudonym of Ada's mailbox."""
    return stage.mailbox_id().split("/")[1]


def clearing(stage: Stage) -> Clearing:
    """Return the request to clear all of Ada's limits."""
    return Clearing(
        account=stage.account(),
        mails=True,
        failures=True,
        operator="grace",
        masked="a***@e***.com",
    )


async def test_a_locked_account_can_sign_in_after_its_limits_were_cleared(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The audit trail names the operator once, and contains no address."""
    limits = TemporalLimits(stage.client)
    for _ in range(2):
        signin_id = await stage.open_sign_in()
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

    (audited,) = [vars(record) for record in caplog.records if record.message == "authz_admin"]

    assert (audited["operator"], audited["account"]) == ("grace", stage.account())
    assert ADA not in str(audited)

    after = await limits.show(mailbox(stage), stage.account())

    assert after is not None and [use.last_day for use in after.budgets] == [0, 0, 0, 0]

    signin_id = await stage.open_sign_in()
    await stage.submit(signin_id, stage.code())
    await until(lambda: stage.outcomes(signin_id)[-1] == "signin.succeeded")


async def test_without_a_mailbox_there_is_nothing_to_show_or_clear(stage: Stage) -> None:
    """An address that was never used has no mailbox."""
    limits = TemporalLimits(stage.client)
    assert await limits.show("nobody", stage.account()) is None
    assert await limits.clear("nobody", clearing(stage)) is None


async def test_an_unreachable_server_is_an_error(stage: Stage) -> None:
    """So is a namespace that does not exist. Neither looks like an empty answer."""
    nowhere = await connect({"k": b"k" * 32}, environ={"TEMPORAL_ADDRESS": "127.0.0.1:1"}, lazy=True)
    address = stage.client.service_client.config.target_host
    no_namespace = await Client.connect(
        address,
        namespace=f"not-{LocalTemporal.namespace}",
        data_converter=pydantic_data_converter,
    )

    for client in (nowhere, no_namespace):
        with pytest.raises(TemporalUnavailable):
            await TemporalLimits(client).show("nobody", "nobody")
        with pytest.raises(TemporalUnavailable):
            await TemporalLimits(client).clear("nobody", clearing(stage))
