"""Temporal's client: how it connects, what it encrypts, and how long its namespace remembers."""

import asyncio
import dataclasses
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
)
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import Runtime
from temporalio.service import RetryConfig, RPCError

from activities.errors import TemporalUnavailable
from consumers.gateway.error_table import NO_CONNECTION, needs_operator
from utils.files import secret_file
from utils.temporal.payload_codec import EncryptionCodec

DEFAULT_ADDRESS: Final = "localhost:7233"
CONNECT_TIMEOUT_S: Final = 10.0
"""The SDK has no limit: it would wait for an address that swallows packets until the kernel gives up."""
RPC_TIMEOUT: Final = timedelta(seconds=5)
"""A frozen server answers nothing: without a limit of ours a call would take 30 s."""

_API_KEY: Final = "TEMPORAL_API_KEY"
_API_KEY_FILE: Final = f"{_API_KEY}_FILE"
_SHORT_RETRIES: Final = RetryConfig(max_elapsed_time_millis=1_500, max_retries=3)
_ONE_TRY: Final = RetryConfig(max_retries=1)  # the SDK counts the first try, too; 0 would be no limit


class TemporalSettingsError(Exception):
    """Raised when Temporal's own settings (variables, profile) cannot be used."""


def data_converter(payload_keys: Mapping[str, bytes]) -> DataConverter:
    """Return the converter of every client: pydantic models, encrypted, and encrypted failures."""
    return dataclasses.replace(
        pydantic_data_converter,
        payload_codec=EncryptionCodec(payload_keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


async def connect(
    payload_keys: Mapping[str, bytes],
    *,
    environ: Mapping[str, str] | None = None,
    runtime: Runtime | None = None,
    lazy: bool = False,
    retries: bool = True,
) -> Client:
    """Return a client set up by Temporal's own variables and profiles.

    ``environ`` replaces the process's environment. A ``lazy`` client connects with its
    first call; any other raises ``TemporalUnavailable`` when the server does not
    answer within ``CONNECT_TIMEOUT_S``. Raises ``TemporalSettingsError``.

    Without ``retries``, each call is made once. The SDK retries a call that is throttled or does not get through, and
    says nothing of it; whoever adapts to the server must hear of each such answer (docs/adr/0025). Workers that use
    the client retry their own calls all the same.
    """
    config = connection_config(environ)

    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await Client.connect(
                **config,
                data_converter=data_converter(payload_keys),
                retry_config=_SHORT_RETRIES if retries else _ONE_TRY,
                runtime=runtime,
                lazy=lazy,
            )
    except ValueError as error:
        raise TemporalSettingsError(f"Temporal's settings cannot be used: {error}") from None
    except NO_CONNECTION:
        raise TemporalUnavailable from None


def connection_config(environ: Mapping[str, str] | None = None) -> ClientConnectConfig:
    """Read Temporal's own variables and profiles, and the files that they name. Raises ``TemporalSettingsError``.

    ``TEMPORAL_API_KEY_FILE`` is ours: it names a file with the API key.
    """
    variables = dict(os.environ if environ is None else environ)
    if file := variables.get(_API_KEY_FILE):
        variables[_API_KEY] = _api_key(file, variables)

    try:
        config = ClientConfig.load_client_connect_config(override_env_vars=variables)
    except Exception as error:  # the SDK's own type is private
        raise TemporalSettingsError(f"Temporal's settings cannot be read: {error}") from None

    key = config.get("api_key") or ""
    if not (key.isascii() and key.isprintable()):
        raise TemporalSettingsError("Temporal's API key is not one line of printable ASCII")

    config.setdefault("target_host", DEFAULT_ADDRESS)
    return config


def _api_key(file: str, variables: Mapping[str, str]) -> str:
    if variables.get(_API_KEY):
        raise TemporalSettingsError(f"{_API_KEY} and {_API_KEY_FILE} are both set: remove one of them.")

    try:
        return secret_file(_API_KEY, file).value()
    except (OSError, ValueError):
        raise TemporalSettingsError(f"{_API_KEY_FILE} names no file with an API key.") from None


async def namespace_retention(client: Client) -> timedelta:
    """Return how long the namespace remembers closed workflows.

    Raises ``TemporalUnavailable``, or ``RPCError`` where an operator must act: there is
    no such namespace, or no permission.
    """
    request = DescribeNamespaceRequest(namespace=client.namespace)

    try:
        answer = await client.workflow_service.describe_namespace(request, retry=True, timeout=RPC_TIMEOUT)
    except (RPCError, *NO_CONNECTION) as error:
        if needs_operator(error):
            raise
        raise TemporalUnavailable from None

    return answer.config.workflow_execution_retention_ttl.ToTimedelta()
