"""Temporal's client, without a server and against a real one."""

import asyncio
import socket
from datetime import timedelta

import pytest
from temporalio.service import RPCError

from activities.errors import TemporalUnavailable
from deploy.local.places import LOOPBACK
from deploy.local.servers.backends import Temporal
from utils.temporal import client as client_module
from utils.temporal.client import (
    TemporalSettingsError,
    connect,
    data_converter,
    namespace_retention,
)

KEYS = {"k1": b"1" * 32}
NOWHERE = {"TEMPORAL_ADDRESS": "127.0.0.1:1"}


@pytest.mark.parametrize(
    "environ",
    [
        {"TEMPORAL_PROFILE": "there-is-none"},
        {"TEMPORAL_ADDRESS": "not an address::"},
        {"TEMPORAL_TLS_CLIENT_CERT_PATH": "/nowhere.pem"},
    ],
)
async def test_unusable_settings_raise_one_kind_of_error(
    environ: dict[str, str],
) -> None:
    """Whatever the SDK raised, a command can exit with 78."""
    with pytest.raises(TemporalSettingsError):
        await connect(KEYS, environ=environ)


async def test_a_server_that_is_down_is_unavailable() -> None:
    """Connecting fails, and so does every call of a client that connects later."""
    with pytest.raises(TemporalUnavailable):
        await connect(KEYS, environ=NOWHERE)

    client = await connect(KEYS, environ=NOWHERE, lazy=True)

    with pytest.raises(TemporalUnavailable):
        await namespace_retention(client)


async def test_a_server_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would wait for half a minute, and without end if the network swallows the packets."""
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT_S", 0.1)
    with socket.create_server((LOOPBACK, 0)) as silent:
        environ = {"TEMPORAL_ADDRESS": f"{LOOPBACK}:{silent.getsockname()[1]}"}

        with pytest.raises(TemporalUnavailable):
            await asyncio.wait_for(connect(KEYS, environ=environ), 5)


async def test_without_settings_it_connects_to_the_local_server() -> None:
    """Temporal's own command has the same default."""
    client = await connect(KEYS, environ={"TEMPORAL_CONFIG_FILE": "/nowhere.toml"}, lazy=True)
    assert client.service_client.config.target_host == "localhost:7233"
    assert client.namespace == "default"


async def test_the_namespace_says_how_long_it_remembers(temporal: Temporal) -> None:
    """The dev server remembers closed workflows for a day."""
    client = await connect(KEYS, environ={"TEMPORAL_ADDRESS": temporal.address})
    assert await namespace_retention(client) >= timedelta(hours=24)


async def test_a_missing_namespace_is_not_an_outage(temporal: Temporal) -> None:
    """Its error leaves as it is, since only an operator can help."""
    variables = {
        "TEMPORAL_ADDRESS": temporal.address,
        "TEMPORAL_NAMESPACE": "there-is-none",
    }
    client = await connect(KEYS, environ=variables)

    with pytest.raises(RPCError):
        await namespace_retention(client)


def test_payload_keys_are_needed() -> None:
    """No converter can be built that stores plaintext."""
    with pytest.raises(ValueError, match="is empty"):
        data_converter({})
