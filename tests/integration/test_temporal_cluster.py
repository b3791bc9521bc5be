"""A sign-in on Temporal as it runs in production. Building that server takes minutes, so it must be there already."""

import asyncio
from collections.abc import AsyncIterator

import psutil  # type: ignore[import-untyped]  # has no types
import pytest
import pytest_asyncio
from temporalio.service import RPCError

from deploy.local.places import StackError
from deploy.local.servers.temporal_config import HISTORY_SHARDS, SERVICES
from deploy.local.servers.temporal_programs import has_programs
from tests.benchmarks.performance.meters import Family, database_counts, server_calls
from tests.faults.people import signs_in
from tests.faults.programme import SHORT
from tests.faults.servers import Servers, running_servers
from tests.faults.stage import Stage, open_stage
from utils.temporal.releases import Releases

_DEPLOYMENT = "signin-worker"
_BUILD_ID = "the-release"
_RELEASE = {"SIGNIN_TEMPORAL__DEPLOYMENT": _DEPLOYMENT, "SIGNIN_TEMPORAL__BUILD_ID": _BUILD_ID}

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not has_programs(),
        reason="Temporal's server is not built, which takes six minutes on two cores: make temporal-server",
    ),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[Servers]:
    """Run all servers, with Temporal as in production."""
    async with running_servers(on_cluster=True) as running:
        yield running


async def test_a_person_signs_in_under_a_release(servers: Servers) -> None:
    """A worker that names its release serves a sign-in; nothing is lost. The benchmark's meters see what it cost."""
    cluster = servers.cluster
    database = Family(cluster.database.process.command)
    before = database_counts(cluster.database)
    cpu_s = database.cpu_s()

    async with open_stage(servers, SHORT, dict(_RELEASE)) as stage:
        await stage.start_worker()
        await stage.eventually(lambda: _promoted(stage), "the release is current")
        await stage.crowd.start(signs_in)
        audit = await stage.settle()

        assert not stage.crowd.problems
        assert not audit.broken
        assert audit.outcomes == {"applied": 2}

    calls = await server_calls(cluster.metrics_url)
    after = database_counts(cluster.database)

    assert calls["SignalWithStartWorkflowExecution"] >= 2
    assert database.cpu_s() > cpu_s
    assert all(after[name] > before[name] for name in before)


async def test_it_is_set_up_as_in_production(servers: Servers) -> None:
    """Each service has a process of its own, the history has 128 shards, and PostgreSQL waits for the disk."""
    cluster = servers.cluster
    commands: list[psutil.Process] = [child.command for child in cluster.processes]

    assert [command.cmdline()[-1] for command in commands] == list(SERVICES)
    assert cluster.database.query("SHOW fsync") == [["on"]]
    assert cluster.database.query("SELECT count(*) FROM shards", "temporal") == [[str(HISTORY_SHARDS)]]


async def test_it_comes_back_with_what_it_knew(servers: Servers) -> None:
    """After all services and the database were killed, a workflow is still known."""
    cluster = servers.cluster
    async with open_stage(servers, SHORT, {}) as stage:
        handle = await stage.temporal.start_workflow("nobodys", id="kept", task_queue="nobodys")
        await asyncio.to_thread(cluster.kill)
        await asyncio.to_thread(cluster.database.kill)
        with pytest.raises(StackError):
            cluster.database.query("SELECT 1")

        await asyncio.to_thread(cluster.database.start_again)
        await asyncio.to_thread(cluster.start_again)
        description = await handle.describe()

        assert description.history_length == 2


async def _promoted(stage: Stage) -> bool:
    try:
        await Releases(stage.temporal, _DEPLOYMENT).promote(_BUILD_ID)
    except RPCError:
        return False  # its workers are not known yet
    return True
