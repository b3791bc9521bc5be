"""New credentials for a client of Temporal that is in use."""

import json
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.envconfig import ClientConnectConfig
from temporalio.service import TLSConfig

from activities.errors import TemporalUnavailable
from deploy.local.servers.backends import Temporal
from utils.temporal.client import TemporalSettingsError, connect, connection_config, namespace_retention
from utils.temporal.renewal import ClientRenewal

KEYS = {"k1": b"1" * 32}
OLD = TLSConfig(client_cert=b"old", client_private_key=b"old")
NEW = TLSConfig(client_cert=b"new", client_private_key=b"new")


class Server:
    """Temporal's settings as a test sets them, and a connection that can be refused."""

    def __init__(self) -> None:
        self.config = ClientConnectConfig(target_host="127.0.0.1:1", tls=OLD)
        self.is_readable = True
        self.accepts = True
        self.connections: list[Client] = []

    def read(self) -> ClientConnectConfig:
        """Read the settings."""
        if not self.is_readable:
            raise TemporalSettingsError
        return self.config

    async def connect(self) -> Client:
        """Connect again."""
        if not self.accepts:
            raise TemporalUnavailable
        self.connections.append(await _client())
        return self.connections[-1]


async def _client() -> Client:
    return await connect(KEYS, environ={"TEMPORAL_ADDRESS": "127.0.0.1:1", "TEMPORAL_API_KEY": "old"}, lazy=True)


async def test_a_new_api_key_is_set_on_the_connection() -> None:
    """The connection stays. Without a change, nothing happens."""
    server = Server()
    client = await _client()
    renewal = ClientRenewal(client, [], server.connect, server.read)
    await renewal.refresh()

    assert client.api_key == "old"

    server.config = ClientConnectConfig(tls=OLD, api_key="new", rpc_metadata={"tenant": "a"})
    await renewal.refresh()

    assert (client.api_key, client.rpc_metadata) == ("new", {"tenant": "a"})
    assert not server.connections


async def test_a_new_certificate_replaces_the_connection_once_it_is_open() -> None:
    """While it cannot be used, the old connection stays, and each refresh tries again."""
    server = Server()
    client = await _client()
    old = client.service_client
    renewal = ClientRenewal(client, [], server.connect, server.read)
    server.config = ClientConnectConfig(tls=NEW)
    server.accepts = False
    await renewal.refresh()

    assert client.service_client is old
    assert renewal.is_outdated

    server.accepts = True
    await renewal.refresh()
    await renewal.refresh()

    assert client.service_client is server.connections[0].service_client
    assert client.workflow_service is server.connections[0].workflow_service
    assert (renewal.is_outdated, len(server.connections)) == (False, 1)


async def test_settings_that_cannot_be_read_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A profile that is being written is read again later; it is logged once."""
    server = Server()
    client = await _client()
    renewal = ClientRenewal(client, [], server.connect, server.read)
    server.is_readable = False

    for _ in range(3):
        await renewal.refresh()

    assert renewal.is_outdated
    assert caplog.messages == ["credentials cannot be loaded"]

    server.is_readable = True
    await renewal.refresh()

    assert not renewal.is_outdated


async def test_metadata_that_the_sdk_refuses_changes_nothing(temporal: Temporal) -> None:
    """The key that came with it is not used either, and calls go on. Corrected, both are used."""
    server = Server()
    client = await connect(KEYS, environ={"TEMPORAL_ADDRESS": temporal.address})
    renewal = ClientRenewal(client, [], server.connect, server.read)
    server.config = ClientConnectConfig(tls=OLD, api_key="new", rpc_metadata={"x-team-bin": "not binary"})
    await renewal.refresh()

    assert (renewal.is_outdated, client.api_key) == (True, None)
    await namespace_retention(client)

    server.config = ClientConnectConfig(tls=OLD, api_key="new", rpc_metadata={"x-team": "a"})
    await renewal.refresh()

    assert (renewal.is_outdated, client.api_key) == (False, "new")
    await namespace_retention(client)


async def test_another_address_is_not_followed() -> None:
    """Another server or namespace needs a restart."""
    server = Server()
    client = await _client()
    renewal = ClientRenewal(client, [], server.connect, server.read)
    server.config = ClientConnectConfig(target_host="elsewhere:7233", namespace="another", tls=OLD)
    await renewal.refresh()

    assert not server.connections


def test_an_api_key_may_be_in_a_file(tmp_path: Path) -> None:
    """``TEMPORAL_API_KEY_FILE`` names it; like the key itself, it turns TLS on."""
    file = tmp_path / "key"
    file.write_text("secret\n")
    config = connection_config({"TEMPORAL_API_KEY_FILE": str(file)})

    assert (config["api_key"], bool(config["tls"])) == ("secret", True)


@pytest.mark.parametrize("more", [{}, {"TEMPORAL_API_KEY": "another"}])
def test_an_api_key_file_must_be_readable_and_the_only_source(tmp_path: Path, more: dict[str, str]) -> None:
    """Whatever is wrong with it, a command can exit with 78."""
    file = tmp_path / "key"
    if more:
        file.write_text("secret")

    with pytest.raises(TemporalSettingsError, match="TEMPORAL_API_KEY_FILE"):
        connection_config({"TEMPORAL_API_KEY_FILE": str(file)} | more)


@pytest.mark.parametrize("key", ["k\u00e9y", "one\ntwo", "a\0b"])
@pytest.mark.parametrize("source", ["file", "profile", "variable"])
def test_an_api_key_that_no_header_can_hold_is_refused(tmp_path: Path, source: str, key: str) -> None:
    """No call can carry it, and the SDK does not say so. Refused, it ends the start, and replaces no key that works."""
    file = tmp_path / "file"
    file.write_text(json.dumps(key).join(["[profile.default]\napi_key=", "\n"]) if source == "profile" else key)
    environ = {
        "file": {"TEMPORAL_API_KEY_FILE": str(file)},
        "profile": {"TEMPORAL_CONFIG_FILE": str(file)},
        "variable": {"TEMPORAL_API_KEY": key},
    }

    with pytest.raises(TemporalSettingsError, match="API key"):
        connection_config(environ[source])
