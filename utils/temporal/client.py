"""Temporal: the client, and what activities need of the workflows."""

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from activities.errors import HandOverRefused, SideEffectError, TemporalUnavailable, UnknownKey
from schemas.mailbox import MailboxInput
from schemas.policy import Policy
from schemas.signals import Challenge, Refusal, SignInOutcome
from schemas.tasks import FirstAttempt
from utils.temporal.payload_codec import CorruptPayload, EncryptionCodec
from workflows.names import (
    HAS_TAKEN_QUERY,
    MAILBOX_SUMMARY,
    OPEN_OR_RESEND_SIGNAL,
    REFUSE_RESEND_SIGNAL,
    VERIFY_OTP_WORKFLOW,
    mailbox_workflow_id,
    sign_in_workflow_id,
)
from workflows.visibility import INITIAL_ATTRIBUTES

DEFAULT_ADDRESS: Final = "localhost:7233"
RPC_TIMEOUT: Final = timedelta(seconds=5)
"""A frozen server answers nothing: without a limit of our own a call takes 30 s."""

_RETRY = RetryConfig(max_elapsed_time_millis=1_500, max_retries=3)
_NO_ANSWER = (RuntimeError, OSError)
"""What a client that is not connected (yet) raises."""


class TemporalSettingsError(Exception):
    """Raised when Temporal's own settings (variables, profile) cannot be used."""


def data_converter(payload_keys: Mapping[str, bytes]) -> DataConverter:
    """Return the converter that every client uses: pydantic models, encrypted, failures included."""
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
) -> Client:
    """Return a client set up by Temporal's own variables and profiles.

    ``environ`` replaces the process's environment. A ``lazy`` client connects with its first call; otherwise
    ``TemporalUnavailable`` is raised when the server does not answer. Raises ``TemporalSettingsError``.
    """
    try:
        config = ClientConfig.load_client_connect_config(
            override_env_vars=dict(environ) if environ is not None else None
        )
    except Exception as error:  # the SDK's own type is private
        raise TemporalSettingsError(f"Temporal's settings cannot be read: {error}") from None
    config.setdefault("target_host", DEFAULT_ADDRESS)
    try:
        return await Client.connect(
            **config, data_converter=data_converter(payload_keys), retry_config=_RETRY, runtime=runtime, lazy=lazy
        )
    except ValueError as error:
        raise TemporalSettingsError(f"Temporal's settings cannot be used: {error}") from None
    except _NO_ANSWER:
        raise TemporalUnavailable from None


async def namespace_retention(client: Client) -> timedelta:
    """Return how long the namespace remembers closed workflows. Raises ``TemporalUnavailable``, ``RPCError``.

    The latter only if there is no such namespace or no permission: the settings' fault.
    """
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        answer = await client.workflow_service.describe_namespace(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if is_configuration(error):
            raise
        raise TemporalUnavailable from None
    except _NO_ANSWER:
        raise TemporalUnavailable from None
    return answer.config.workflow_execution_retention_ttl.ToTimedelta()


class TemporalMailboxes:
    """Fulfils ``Mailboxes``: signals a mailbox's workflow, and starts it if it is not there."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def hand_over(self, mailbox: str, message: Challenge | Refusal, policy: Policy) -> None:
        """Signal-with-start ``mailbox/<mailbox>``. Raises ``TemporalUnavailable`` or ``HandOverRefused``."""
        try:
            await self._client.start_workflow(
                VERIFY_OTP_WORKFLOW,
                MailboxInput(policy=policy),
                id=mailbox_workflow_id(mailbox),
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                start_signal=OPEN_OR_RESEND_SIGNAL if isinstance(message, Challenge) else REFUSE_RESEND_SIGNAL,
                start_signal_args=[message],
                rpc_timeout=RPC_TIMEOUT,
                static_summary=MAILBOX_SUMMARY,
                search_attributes=INITIAL_ATTRIBUTES if policy.search_attributes else None,
            )
        except RPCError as error:
            raise hand_over_error(error) from None
        except _NO_ANSWER:
            raise TemporalUnavailable from None

    async def has_taken(self, mailbox: str, signin_id: str) -> bool:
        """Tell whether attempt 1 of a sign-in was ever handed over to it. Raises ``TemporalUnavailable``.

        Temporal answers a query after every signal that it acknowledged before.
        """
        handle = self._client.get_workflow_handle(mailbox_workflow_id(mailbox))
        try:
            return bool(await handle.query(HAS_TAKEN_QUERY, signin_id, result_type=bool, rpc_timeout=RPC_TIMEOUT))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and not names_namespace(error):
                return False
            raise TemporalUnavailable from None
        except (*_NO_ANSWER, WorkflowQueryFailedError, WorkflowQueryRejectedError, UnknownKey, CorruptPayload):
            raise TemporalUnavailable from None


class TemporalFirstAttempts:
    """Fulfils ``FirstAttempts``: looks at the workflow of attempt 1."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, signin_id: str) -> FirstAttempt:
        """Tell how ``signin/<signin_id>/1`` stands, without waiting for it. Raises ``TemporalUnavailable``.

        A namespace that is not there is no sign-in that was never seen.
        """
        try:
            return await self._read(sign_in_workflow_id(signin_id, 1))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and not names_namespace(error):
                return FirstAttempt(status="unknown")
            raise TemporalUnavailable from None
        except WorkflowFailureError:  # reset or terminated since we looked
            return FirstAttempt(status="closed")
        except (*_NO_ANSWER, UnknownKey, CorruptPayload):
            raise TemporalUnavailable from None

    async def _read(self, workflow_id: str) -> FirstAttempt:
        described = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        if described.status is WorkflowExecutionStatus.RUNNING:
            return FirstAttempt(status="running")
        if described.status is not WorkflowExecutionStatus.COMPLETED:
            return FirstAttempt(status="closed")
        handle = self._client.get_workflow_handle(workflow_id, run_id=described.run_id, result_type=SignInOutcome)
        outcome = await handle.result(follow_runs=False, rpc_timeout=RPC_TIMEOUT)
        return FirstAttempt(status="closed", outcome=outcome)


def hand_over_error(error: RPCError) -> SideEffectError:
    """Return what an answer to a signal-with-start means: never, or not now.

    Two texts decide, since the codes have two meanings each: a message above 4 MB is RESOURCE_EXHAUSTED, and a run that
    took 10,000 signals answers INVALID_ARGUMENT until it continues as new.
    """
    text = str(error).lower()
    if error.status is RPCStatusCode.INVALID_ARGUMENT and "limit for signal events" not in text:
        return HandOverRefused()
    if error.status is RPCStatusCode.RESOURCE_EXHAUSTED and "larger than max" in text:
        return HandOverRefused()
    return TemporalUnavailable()


def is_configuration(error: RPCError) -> bool:
    """Tell whether only a person can help: no permission, or no such namespace."""
    denied = error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED)
    return denied or (error.status is RPCStatusCode.NOT_FOUND and names_namespace(error))


def names_namespace(error: RPCError) -> bool:
    """Tell whether an answer is about the namespace, not about a workflow in it. Both are NOT_FOUND."""
    return any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in error.grpc_status.details)
