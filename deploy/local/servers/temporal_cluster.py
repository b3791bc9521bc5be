"""Temporal as it runs in production: four services in processes of their own, 128 history shards, on PostgreSQL."""

import contextlib
import signal
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

from google.protobuf.duration_pb2 import Duration
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from deploy.local.places import LOOPBACK, StackError, free_low_ports, free_ports
from deploy.local.processes import Child
from deploy.local.server_process import start_on_free_ports
from deploy.local.servers import temporal_config
from deploy.local.servers.postgres import USER, LocalPostgres, postgres_programs
from deploy.local.servers.temporal import IMPATIENT, environment
from deploy.local.servers.temporal_config import HISTORY_SHARDS, PLUGIN, SERVICES, STORES, ServicePorts
from deploy.local.servers.temporal_programs import Programs, programs
from deploy.local.waiting import run_in_thread

_READY_WITHIN_S: Final = 120
_RETENTION: Final = timedelta(days=1)
_NOBODYS: Final = "nobodys"


class ClusterTemporal:
    """A cluster on free ports of the loopback interface, each service in one process. All its data goes when it stops.

    Any service and the database can be killed and started again. ``settings`` are the
    server's dynamic configuration. The first start builds the server.
    """

    namespace: Final = "default"
    ui_url: str | None = None

    def __init__(self, *, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self.address = ""
        self.metrics_url = ""
        self._settings = dict(settings)
        self._services: dict[str, Child] = {}
        self._commands: dict[str, list[str]] = {}
        self._database: LocalPostgres | None = None

    @property
    def database(self) -> LocalPostgres:
        """The database. Raises ``StackError`` if the cluster was never started."""
        if self._database is None:
            raise StackError("Temporal's cluster was not started.")
        return self._database

    @property
    def processes(self) -> list[Child]:
        """The processes of the services, without the database."""
        return list(self._services.values())

    def start(self) -> None:
        """Start the database, then all services; return once a workflow could run. Raises ``StackError``."""
        postgres_programs()  # before a build that would be of no use
        built = programs()
        start_on_free_ports(lambda: self._launch(built), self.stop)

    def start_again(self, settings: Mapping[str, str] | None = None) -> None:
        """Start the services again that have ended, with ``settings`` on top of the cluster's own."""
        temporal_config.write_dynamic(self._folder, {**self._settings, **(settings or {})})
        for name, service in self._services.items():
            if not service.running:
                self._run(name)

        self._wait_until_ready()

    def kill(self) -> None:
        """Send SIGKILL to all services. The data stays in the database."""
        for service in self.processes:
            service.kill()

    def kill_service(self, name: str) -> None:
        """Send SIGKILL to one service."""
        self._services[name].kill()

    def stop(self) -> None:
        """End all services and the database, and remove their data. May be called again."""
        services = self.processes
        self._services = {}
        for service in services:
            with contextlib.suppress(StackError):  # it has ended or never started
                service.signal(signal.SIGKILL)  # an orderly end takes seconds and would save nothing
            service.stop()

        if self._database is not None:
            self._database.stop()
            self._database = None

    @property
    def _folder(self) -> Path:
        return self._services["frontend"].folder

    def _launch(self, built: Programs) -> None:
        self._database = LocalPostgres()
        self._database.start()
        for database, schema in STORES.items():
            _create(built.sql_tool, self._database.port, database, schema)

        self._services = {name: Child(f"temporal-{name}") for name in SERVICES}
        self._configure(built)
        first, *others = SERVICES
        self._run(first)
        self._services[first].wait_until(self._has_metadata, within_s=_READY_WITHIN_S)  # two would race to write it
        for name in others:
            self._run(name)

        self._wait_until_ready()

    def _configure(self, built: Programs) -> None:
        free = iter(free_ports(2 * len(SERVICES) + 1))
        low = iter(free_low_ports(len(SERVICES)))  # the database's column for a member's port is a smallint
        ports = {name: ServicePorts(next(free), next(low), next(free)) for name in SERVICES}
        files = temporal_config.written(self._folder, ports, next(free), self.database.port)
        temporal_config.write_dynamic(self._folder, self._settings)

        for name, file in files.items():
            options = ["--config-file", str(file), "--allow-no-auth", "start", "--service", name]
            self._commands[name] = [str(built.server), *options]

        self.address = f"{LOOPBACK}:{ports['frontend'].calls}"
        self.metrics_url = f"http://{LOOPBACK}:{ports['frontend'].metrics}/metrics"

    def _run(self, name: str) -> None:
        service = self._services[name]
        service.start(self._commands[name], environment(service.folder))

    def _has_metadata(self) -> bool:
        return self.database.query("SELECT count(*) FROM cluster_metadata_info", "temporal") != [["0"]]

    def _wait_until_ready(self) -> None:
        for service in self.processes:
            service.wait_until(self._answers, within_s=_READY_WITHIN_S)

    def _answers(self) -> bool:
        return run_in_thread(_runs_workflows(self.address, self.namespace)) and self._has_all_shards()

    def _has_all_shards(self) -> bool:
        """Tell whether the history service has opened each shard once: the first time, one after the other."""
        return self.database.query("SELECT count(*) FROM shards", "temporal") == [[str(HISTORY_SHARDS)]]


def _create(sql_tool: Path, port: int, database: str, schema: str) -> None:
    where = ["--plugin", PLUGIN, "--endpoint", LOOPBACK, "--port", str(port), "--user", USER, "--database", database]
    steps = (
        ["create-database"],
        ["setup-schema", "--version", "0.0"],
        ["update-schema", "--schema-name", f"postgresql/v12/{schema}"],
    )
    for step in steps:
        done = subprocess.run([sql_tool, *where, *step], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StackError(f"Temporal's schema tool could not {step[0]} {database}:\n{done.stdout}{done.stderr}")


async def _runs_workflows(address: str, namespace: str) -> bool:
    """Tell whether all services answer. Registers the namespace the first time."""
    try:
        client = await Client.connect(address, namespace=namespace, retry_config=IMPATIENT)
        await _register(client, namespace)
        queue = DescribeTaskQueueRequest(namespace=namespace, task_queue=TaskQueue(name=_NOBODYS))
        await client.workflow_service.describe_task_queue(queue)  # by the matching service
        return await _knows_no_workflow(client)
    except (RPCError, RuntimeError):
        return False


async def _register(client: Client, namespace: str) -> None:
    retention = Duration()
    retention.FromTimedelta(_RETENTION)
    request = RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=retention)

    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


async def _knows_no_workflow(client: Client) -> bool:
    """Ask the history service for a workflow that does not exist: who says so has its shard."""
    try:
        await client.get_workflow_handle(_NOBODYS).describe()
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    return True
