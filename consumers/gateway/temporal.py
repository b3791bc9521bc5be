"""Temporal, spoken to by high-level calls. Foreign errors are translated here and nowhere else."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, NamedTuple

from temporalio.api.enums.v1 import ResourceExhaustedCause
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.codes import CodeKeys
from activities.pseudonyms import Pseudonyms
from consumers.decode import ReceivedRequest, ReceivedSubmission
from consumers.outcomes import (
    Applied,
    Duplicate,
    KeyBusy,
    Misconfigured,
    NotNow,
    Outcome,
    Rejected,
    Throttled,
    Unreachable,
)
from schemas.mailbox import MailboxInput
from schemas.policy import Policy
from schemas.signals import SignInInput, Submission
from workflows.names import (
    MAILBOX_SUMMARY,
    SIGN_IN_WORKFLOW,
    SUBMIT_SIGNAL,
    VERIFY_OTP_WORKFLOW,
    mailbox_task_queue,
    mailbox_workflow_id,
    sign_in_workflow_id,
)

# A request's workflow ends within two minutes, save while Kafka does not take its result: then it must go on trying.
_SIGN_IN_RUN: Final = timedelta(days=1)
_WORKFLOW_TASK: Final = timedelta(seconds=10)


class TemporalGateway:
    """Starts and signals the workflows. Every call is idempotent: the same delivery again changes nothing."""

    def __init__(
        self,
        client: Client,
        task_queue: str,
        policy: Policy,
        pseudonyms: Pseudonyms,
        code_keys: CodeKeys,
        rpc_timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        self._client = client
        self._task_queue = task_queue
        self._policy = policy
        self._pseudonyms = pseudonyms
        self._code_keys = code_keys
        self._rpc_timeout = rpc_timeout

    async def start(self, request: ReceivedRequest) -> Outcome:
        """Start the request's workflow; one that ever ran under its id makes this a duplicate. Raises ``NotNow``."""
        return await _translated(lambda: self._start(request))

    async def submit(self, submission: ReceivedSubmission) -> Outcome:
        """Signal the mailbox, started where it does not run; it remembers submission ids. Raises ``NotNow``."""
        return await _translated(lambda: self._submit(submission))

    async def _start(self, request: ReceivedRequest) -> Outcome:
        """Start a workflow whose first task comes with the answer, if this process works, too, and has room for it."""
        event = request.event
        start = SignInInput(
            request=event, born_at=request.born_at, traceparent=request.traceparent, policy=self._policy
        )
        try:
            await self._client.start_workflow(
                SIGN_IN_WORKFLOW,
                start,
                id=sign_in_workflow_id(event.signin_id, event.attempt),
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                run_timeout=_SIGN_IN_RUN,
                task_timeout=_WORKFLOW_TASK,
                rpc_timeout=self._rpc_timeout,
                request_eager_start=True,
                static_summary=f"attempt {event.attempt}",
            )
        except WorkflowAlreadyStartedError:
            return Duplicate()
        return Applied()

    async def _submit(self, submission: ReceivedSubmission) -> Outcome:
        # No timeout on the run: a mailbox lives as long as it has something to remember, and ends by itself.
        await self._client.start_workflow(
            VERIFY_OTP_WORKFLOW,
            MailboxInput(policy=self._policy),
            id=mailbox_workflow_id(self._pseudonyms.mailbox(submission.address)),
            task_queue=mailbox_task_queue(self._task_queue),
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=SUBMIT_SIGNAL,
            start_signal_args=[self._sealed(submission)],
            task_timeout=_WORKFLOW_TASK,
            rpc_timeout=self._rpc_timeout,
            static_summary=MAILBOX_SUMMARY,
        )
        return Applied()

    def _sealed(self, submission: ReceivedSubmission) -> Submission:
        """Build the signal. The code in clear ends here: only its seal enters Temporal."""
        event = submission.event
        key_id, seal = self._code_keys.seal(event.signin_id, event.code)
        return Submission(
            signin_id=event.signin_id,
            submission_id=event.submission_id,
            account=self._pseudonyms.account(submission.address),
            seal=seal,
            key_id=key_id,
            submitted_at=event.submitted_at,
            traceparent=submission.traceparent,
        )


async def _translated(call: Callable[[], Awaitable[Outcome]]) -> Outcome:
    try:
        return await call()
    except (RPCError, RuntimeError, WorkflowAlreadyStartedError) as error:
        answer = translate(error)
        if isinstance(answer, Rejected):
            return answer
        raise answer from None


def translate(error: RPCError | RuntimeError | WorkflowAlreadyStartedError) -> NotNow | Rejected:
    """Return what Temporal's answer means for the record.

    ``RuntimeError`` comes from a connection that could not be made. Messages of servers are left out: they may quote.
    """
    if not isinstance(error, RPCError):
        return KeyBusy() if isinstance(error, WorkflowAlreadyStartedError) else Unreachable("no connection")
    rule = next(rule for rule in ERROR_TABLE if error.status in rule.statuses and rule.applies(error))
    return rule.answer(RPCStatusCode(error.status).name)


def _refused(status: str) -> Rejected:
    return Rejected("refused", f"temporal: {status}")


def _always(_: RPCError) -> bool:
    return True


def _says(text: str) -> Callable[[RPCError], bool]:
    return lambda error: text in error.message.lower()


def _busy_workflow(error: RPCError) -> bool:
    return _says("workflow is busy")(error) or ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW in (
        failure.cause for failure in _exhausted(error)
    )


def _exhausted(error: RPCError) -> list[ResourceExhaustedFailure]:
    failures = []
    for detail in error.grpc_status.details:
        failure = ResourceExhaustedFailure()
        if detail.Unpack(failure):
            failures.append(failure)
    return failures


class Rule(NamedTuple):
    """One row: these statuses, where ``applies`` says so, mean ``answer``, which is given the status's name."""

    statuses: frozenset[RPCStatusCode]
    applies: Callable[[RPCError], bool]
    answer: Callable[[str], NotNow | Rejected]


def _on(*statuses: RPCStatusCode) -> frozenset[RPCStatusCode]:
    return frozenset(statuses)


_CODES = RPCStatusCode

ERROR_TABLE: Final = (
    # After the run continued as new, the same signal is accepted.
    Rule(_on(_CODES.INVALID_ARGUMENT), _says("limit for signal events"), KeyBusy),
    Rule(_on(_CODES.INVALID_ARGUMENT), _always, _refused),
    Rule(_on(_CODES.RESOURCE_EXHAUSTED), _says("larger than max"), _refused),
    Rule(_on(_CODES.RESOURCE_EXHAUSTED), _busy_workflow, KeyBusy),
    Rule(_on(_CODES.RESOURCE_EXHAUSTED), _always, Throttled),
    # A start says it by an exception of its own; any other is about a workflow in motion.
    Rule(_on(_CODES.ALREADY_EXISTS), _always, KeyBusy),
    # Starts, with or without a signal, only miss namespaces. UNIMPLEMENTED: what answers there is no Temporal.
    Rule(
        _on(_CODES.PERMISSION_DENIED, _CODES.UNAUTHENTICATED, _CODES.NOT_FOUND, _CODES.UNIMPLEMENTED),
        _always,
        Misconfigured,
    ),
    # The call may have been applied: the same ids go again. Whatever is unknown belongs here: it loses nothing.
    Rule(frozenset(_CODES), _always, Unreachable),
)
"""The first row that fits holds (BRIDGE.md: error table)."""
