"""The real Temporal dev server as a child process, from a Python package."""

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RetryConfig, RPCError

from deploy.local.places import LOOPBACK, StackError, free_ports
from deploy.local.processes import Child, executable

_TRIES: Final = 3
_READY_WITHIN_S: Final = 60
_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT")


class LocalTemporal:
    """One dev server on free ports of the loopback interface.

    Its state is in memory only, unless ``durable``: then it may be killed and started again. ``settings`` are dynamic
    ones of the server.
    """

    namespace: Final = "default"

    def __init__(
        self, *, ui: bool = False, durable: bool = False, settings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.address = ""
        self.ui_url: str | None = None
        self.metrics_url = ""
        self._ui = ui
        self._durable = durable
        self._settings = settings
        self._child: Child | None = None
        self._command: list[str] = []

    @property
    def process(self) -> Child:
        """The server's process. Raises ``StackError`` if it was never started."""
        if self._child is None:
            raise StackError("Temporal was not started.")
        return self._child

    def start(self) -> None:
        """Start the server and return once its namespace is there. Raises ``StackError``."""
        for remaining in reversed(range(_TRIES)):
            try:
                return self._start()
            except StackError:
                self.stop()
                if not remaining:
                    raise

    def stop(self) -> None:
        """End the server. May be called again."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def start_again(self, settings: Mapping[str, str] | None = None) -> None:
        """Start it where it was, after its process was killed, with other dynamic ``settings`` of the server."""
        self._run([*self._command, *_options(settings or {})])

    def _run(self, command: list[str]) -> None:
        child = self.process
        child.start(command, _environment(child.folder))
        child.wait_until(lambda: namespace_answers(self.address, self.namespace), within_s=_READY_WITHIN_S)

    def _start(self) -> None:
        port, ui_port, http_port, metrics_port = free_ports(4)
        self._child = child = Child("temporal")
        ports = {"--port": port, "--http-port": http_port, "--metrics-port": metrics_port}
        ui = ["--ui-port", str(ui_port), "--ui-disable-news-fetch"] if self._ui else ["--headless"]
        file = ["--db-filename", str(child.folder / "temporal.db")] if self._durable else []
        command = [
            str(executable("temporal")),
            "server",
            "start-dev",
            "--ip",
            LOOPBACK,
            "--log-level",
            "error",
            *ui,
            *file,
            *_options(self._settings),
        ]
        self._command = [*command, *(str(part) for pair in ports.items() for part in pair)]
        self.address = f"{LOOPBACK}:{port}"
        self.metrics_url = f"http://{LOOPBACK}:{metrics_port}/metrics"
        self._run(self._command)
        self.ui_url = f"http://{LOOPBACK}:{ui_port}" if self._ui else None


def _options(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("--dynamic-config-value", f"{name}={value}")]


def namespace_answers(address: str, namespace: str) -> bool:
    """Tell whether the server describes its namespace. Works inside and outside of an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _answers(address, namespace)).result()


async def _answers(address: str, namespace: str) -> bool:
    try:
        impatient = RetryConfig(max_elapsed_time_millis=500, max_retries=1)
        client = await Client.connect(address, namespace=namespace, retry_config=impatient)
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    except (RPCError, RuntimeError):
        return False
    return True


def _environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {**kept, "HOME": str(home), "TMPDIR": str(home)}  # whatever it writes goes with the folder
