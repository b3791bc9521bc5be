"""New credentials for a client of Temporal that is in use (docs/adr/0021)."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from temporalio.client import Client
from temporalio.envconfig import ClientConnectConfig
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.errors import TemporalUnavailable
from utils.temporal.client import TemporalSettingsError, connection_config

logger = logging.getLogger(__name__)

_FOLLOWED: Final = ("tls", "api_key", "rpc_metadata")
"""What may change while the worker runs. Another address or namespace needs a restart."""


class ClientRenewal:
    """Reads Temporal's settings again, and gives the client and the workers what is new.

    A new API key and new metadata are set on the connection. New certificates need another
    connection: the SDK reads them only when it connects. It replaces the old one once it is
    open, so certificates that cannot be used yet change nothing. Calls in progress end on
    the old connection.
    """

    name: Final = "Temporal"

    def __init__(
        self,
        client: Client,
        workers: Sequence[Worker],
        reconnect: Callable[[], Awaitable[Client]],
        read_config: Callable[[], ClientConnectConfig] = connection_config,
    ) -> None:
        self.is_outdated = False
        self._client = client
        self._workers = workers
        self._reconnect = reconnect
        self._read_config = read_config
        self._used = _followed(read_config())

    async def refresh(self) -> None:
        """Look for new credentials, and use them."""
        try:
            config = _followed(self._read_config())
            if config != self._used:
                await self._use(config)
        except (TemporalSettingsError, TemporalUnavailable, RPCError, ValueError) as error:
            self._note_failure(error)
        else:
            self.is_outdated = False

    async def _use(self, config: dict[str, Any]) -> None:
        if config["tls"] != self._used["tls"]:
            await self._replace_connection()
        else:
            self._client.rpc_metadata = config["rpc_metadata"] or {}  # first: it raises ``ValueError`` if it is wrong
            self._client.api_key = config["api_key"]

        self._used = config
        logger.info("credentials have been replaced", extra={"credentials": self.name})

    async def _replace_connection(self) -> None:
        """Connect, and put the new connection into the client that all adapters share. The SDK has no call for it."""
        connected = await self._reconnect()
        self._client._config["service_client"] = connected.service_client

        for worker in self._workers:
            worker.client = self._client

    def _note_failure(self, error: Exception) -> None:
        if not self.is_outdated:
            kind = type(error).__name__
            logger.error("credentials cannot be loaded", extra={"credentials": self.name, "error": kind})
        self.is_outdated = True


def _followed(config: ClientConnectConfig) -> dict[str, Any]:
    return {name: config.get(name) for name in _FOLLOWED}
