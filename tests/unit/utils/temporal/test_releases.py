"""What Temporal's answers say about the releases of a deployment. A real server is asked in tests/integration."""

from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.api.deployment.v1 import RoutingConfig, WorkerDeploymentInfo, WorkerDeploymentVersion
from temporalio.api.enums.v1 import WorkerDeploymentVersionStatus as Status
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentResponse
from temporalio.common import VersioningBehavior
from temporalio.service import RPCError, RPCStatusCode

from activities.errors import TemporalUnavailable
from utils.checks.temporal import check_release
from utils.temporal.releases import Releases, ReleaseState
from utils.temporal.workers import Release, _versioned

Summary = WorkerDeploymentInfo.WorkerDeploymentVersionSummary


def releases(answer: DescribeWorkerDeploymentResponse | Exception) -> Releases:
    """Return the releases of a server that gives one answer to everything."""

    async def respond(_request: Any, **_options: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    service = SimpleNamespace(
        describe_worker_deployment=respond,
        set_worker_deployment_current_version=respond,
        set_worker_deployment_ramping_version=respond,
    )
    client: Any = SimpleNamespace(namespace="default", workflow_service=service)
    return Releases(client, "signin-worker")


def described(*versions: tuple[str, Status.ValueType], ramping: float = 0) -> DescribeWorkerDeploymentResponse:
    """Return a server's answer. Each version was created a second after the one before it."""
    answer = DescribeWorkerDeploymentResponse()
    answer.worker_deployment_info.routing_config.CopyFrom(RoutingConfig(ramping_version_percentage=ramping))

    for number, (build_id, status) in enumerate(versions):
        version = WorkerDeploymentVersion(deployment_name="signin-worker", build_id=build_id)
        summary = Summary(deployment_version=version, status=status)
        summary.create_time.FromSeconds(number)
        answer.worker_deployment_info.version_summaries.append(summary)
    return answer


def test_the_workers_of_a_release_pin_its_workflows() -> None:
    """The server refuses pinning by the workflows themselves from workers without a release."""
    options = _versioned(Release("signin-worker", "2.0.0"))

    assert options.use_worker_versioning
    assert options.version.to_canonical_string() == "signin-worker.2.0.0"
    assert options.default_versioning_behavior is VersioningBehavior.PINNED
    assert Release.of(None, "2.0.0") is None


async def test_the_newest_release_comes_first_with_its_share() -> None:
    """What does not ramp is the share of the current release. A release that was never current waits."""
    answer = described(
        ("1", Status.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED),
        ("2", Status.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT),
        ("3", Status.WORKER_DEPLOYMENT_VERSION_STATUS_RAMPING),
        ("4", Status.WORKER_DEPLOYMENT_VERSION_STATUS_INACTIVE),
        ramping=25,
    )

    assert await releases(answer).list() == (
        ReleaseState("4", "waiting", 0),
        ReleaseState("3", "ramping", 25),
        ReleaseState("2", "current", 75),
        ReleaseState("1", "drained", 0),
    )


async def test_before_the_first_worker_there_is_no_release() -> None:
    """The server does not know the deployment yet."""
    assert await releases(RPCError("unknown", RPCStatusCode.NOT_FOUND, b"")).list() == ()


async def test_a_refusal_is_passed_on() -> None:
    """The command says what to do."""
    refused = RPCError("no pollers", RPCStatusCode.FAILED_PRECONDITION, b"")
    with pytest.raises(RPCError):
        await releases(refused).promote("1")
    with pytest.raises(RPCError):
        await releases(RPCError("no", RPCStatusCode.PERMISSION_DENIED, b"")).list()


async def test_a_server_that_is_away_is_unavailable() -> None:
    """Like for every other call."""
    with pytest.raises(TemporalUnavailable):
        await releases(RuntimeError("no connection")).ramp("1", 10)


async def test_the_check_fails_while_no_release_is_current() -> None:
    """Workflows wait for one."""
    waiting = described(("1", Status.WORKER_DEPLOYMENT_VERSION_STATUS_INACTIVE))
    current = described(("1", Status.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT))

    failed = await check_release(releases(waiting), "1")
    passed = await check_release(releases(current), "2")
    first = await check_release(releases(described()), "1")
    refused = await check_release(releases(RPCError("no", RPCStatusCode.PERMISSION_DENIED, b"")), "1")

    assert (failed.ok, "release promote" in str(failed.fix)) == (False, True)
    assert passed.ok and passed.text == "1 is current; this is 2 (not started yet)."
    assert first.ok
    assert "grant read access" in str(refused.fix)
