"""Who calls Temporal once, and who tries again, with real servers (docs/adr/0025)."""

import asyncio
import time
import uuid
from datetime import timedelta

import httpx
from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from consumers.outcomes import Applied, Throttled
from deploy.local.servers.backends import Temporal
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.waiting import eventually
from schemas.signals import SignInInput
from tests.integration.gateway_bench import client, gateway, gateway_to, request
from workflows.names import SIGN_IN_WORKFLOW, sign_in_workflow_id


@workflow.defn(name=SIGN_IN_WORKFLOW)
class Ended:
    """A request that ends with its first task."""

    @workflow.run
    async def run(self, _: SignInInput) -> None:
        """End."""


class Restart:
    """An activity that ends while its server is away."""

    def __init__(self, server: LocalTemporal) -> None:
        self._server = server
        self._restart: asyncio.Task[None] | None = None

    @activity.defn
    async def restart(self) -> int:
        """Kill the server, have it started again, and return how often this was tried."""
        attempt = activity.info().attempt
        if attempt == 1:
            self._server.process.kill()
            self._restart = asyncio.create_task(asyncio.to_thread(self._server.start_again))

        return attempt

    async def is_over(self) -> bool:
        """Tell whether the server answers again."""
        return self._restart is not None and self._restart.done()


@workflow.defn
class Restarting:
    """Runs the activity."""

    @workflow.run
    async def run(self) -> int:
        """Return its attempts."""
        return await workflow.execute_activity_method(Restart.restart, start_to_close_timeout=timedelta(seconds=15))


async def test_a_server_that_is_called_too_often_throttles(own_server: LocalTemporal) -> None:
    """Four calls a second are allowed here. Each call is made once, so the limit hears of each that is turned away."""
    own_server.process.kill()
    own_server.start_again({"frontend.namespaceRPS": "4", "frontend.namespaceBurstRatio": "1.0"})
    tested = gateway(await client(own_server.address))
    await asyncio.sleep(1)  # connecting took calls, too

    started_at = time.monotonic()
    answers = await asyncio.gather(*(tested.start(request()) for _ in range(20)), return_exceptions=True)
    took_s = time.monotonic() - started_at

    throttled = sum(isinstance(answer, Throttled) for answer in answers)
    applied = sum(isinstance(answer, Applied) for answer in answers)

    assert throttled + applied == 20
    assert throttled >= 10
    assert took_s < 1

    async def server_has_counted() -> bool:
        return await asyncio.to_thread(_starts_seen, own_server) == 20

    await eventually(server_has_counted, "the server has seen 20 calls", within_s=10)


def _starts_seen(server: LocalTemporal) -> int:
    """Return how often the server was asked to start a workflow."""
    lines = httpx.get(server.metrics_url, trust_env=False).text.splitlines()
    kinds = ('service_requests{namespace="default"', 'operation="StartWorkflowExecution"', 'service_name="frontend"')
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if all(kind in line for kind in kinds))


async def test_the_first_task_of_a_request_reaches_a_worker_with_the_answer(temporal: Temporal) -> None:
    """The worker completes the task that the answer carries. If it were lost, the task would time out after 10 s."""
    connected = await client(temporal.address)
    task_queue = str(uuid.uuid4())
    new_request = request()

    async with Worker(connected, task_queue=task_queue, workflows=[Ended], workflow_runner=UnsandboxedWorkflowRunner()):
        await gateway_to(connected, task_queue).start(new_request)
        handle = connected.get_workflow_handle(sign_in_workflow_id(new_request.event.signin_id, 1))
        await handle.result()

    started, *others = [event async for event in handle.fetch_history_events()]

    assert started.workflow_execution_started_event_attributes.eager_execution_accepted
    assert [event.event_type for event in others] == [
        EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    ]


async def test_a_worker_keeps_its_retries(own_server: LocalTemporal) -> None:
    """The client makes each call once, but a worker's answer that meets a restart of the server is not lost."""
    connected = await client(own_server.address)
    task_queue = str(uuid.uuid4())
    restart = Restart(own_server)

    async with Worker(
        connected,
        task_queue=task_queue,
        workflows=[Restarting],
        activities=[restart.restart],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        handle = await connected.start_workflow(Restarting.run, id=task_queue, task_queue=task_queue)
        await eventually(restart.is_over, "the server is back", within_s=60)
        attempts = await handle.result()

    assert attempts == 1
