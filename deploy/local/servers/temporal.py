"""The real Temporal dev server as a child process, from a Python package."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RetryConfig, RPCError

from deploy.local.places import LOOPBACK, free_ports
from deploy.local.processes import Child, executable
from deploy.local.server_process import READY_WITHIN_S, ServerProcess
from deploy.local.waiting import run_in_thread

IMPATIENT: Final = RetryConfig(max_elapsed_time_millis=500, max_retries=1)
# By default SQLite waits for the disk three times in each transaction (docs/adr/0037). A log ahead of
# the database survives SIGKILL as well; only a power cut loses its last entries.
FEW_FSYNCS: Final = ("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL")
_INHERITED_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")


class LocalTemporal(ServerProcess):
    """One dev server on free ports of the loopback interface.

    It keeps its state in memory. If it is ``durable``, it keeps it in a file: then it can
    be killed and started again. ``settings`` are the server's dynamic configuration.
    """

    namespace: Final = "default"

    def __init__(
        self,
        *,
        ui: bool = False,
        durable: bool = False,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__("Temporal")
        self.address = ""
        self.ui_url: str | None = None
        self.metrics_url = ""
        self._ui = ui
        self._durable = durable
        self._settings = settings
        self._command: list[str] = []

    @property
    def processes(self) -> list[Child]:
        """Its only process, as a list: a cluster has several."""
        return [self.process]

    def kill(self) -> None:
        """Send SIGKILL. The state survives if it is ``durable``."""
        self.process.kill()

    def start_again(self, settings: Mapping[str, str] | None = None) -> None:
        """Start the server again after its process was killed, with ``settings`` on top of its own."""
        self._run([*self._command, *_dynamic_config(settings or {})])

    def _launch(self, child: Child) -> None:
        port, ui_port, http_port, metrics_port = free_ports(4)
        ui = ["--ui-port", str(ui_port), "--ui-disable-news-fetch"] if self._ui else ["--headless"]
        database = ["--db-filename", str(child.folder / "temporal.db"), *FEW_FSYNCS] if self._durable else []

        self._command = [
            str(executable("temporal")),
            "server",
            "start-dev",
            "--ip",
            LOOPBACK,
            "--log-level",
            "error",
        ]
        self._command += [
            "--port",
            str(port),
            "--http-port",
            str(http_port),
            "--metrics-port",
            str(metrics_port),
        ]
        self._command += [*ui, *database, *_dynamic_config(self._settings)]

        self.address = f"{LOOPBACK}:{port}"
        self.metrics_url = f"http://{LOOPBACK}:{metrics_port}/metrics"
        self._run(self._command)
        self.ui_url = f"http://{LOOPBACK}:{ui_port}" if self._ui else None

    def _run(self, command: list[str]) -> None:
        child = self.process
        child.start(command, environment(child.folder))
        child.wait_until(lambda: namespace_answers(self.address, self.namespace), within_s=READY_WITHIN_S)


def namespace_answers(address: str, namespace: str) -> bool:
    """Tell whether the server describes the namespace. Works inside and outside of an event loop."""
    return run_in_thread(_answers(address, namespace))


async def _answers(address: str, namespace: str) -> bool:
    try:
        client = await Client.connect(address, namespace=namespace, retry_config=IMPATIENT)
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    except (RPCError, RuntimeError):
        return False
    return True


def _dynamic_config(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("--dynamic-config-value", f"{name}={value}")]


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a server whose folder is ``home``."""
    kept = {name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "TMPDIR": str(home),
    }  # whatever it writes is removed with the folder
