"""Both workflows on a Temporal server, with real activities over fakes of the outside."""

import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy

from activities.addresses import parse_address
from activities.clearing import ClearingActivities
from activities.codes import CodeKeys
from activities.delivery import DeliveryActivities
from activities.email_check import EmailActivities
from activities.handing_over import HandOverActivities
from activities.otp import OtpActivities
from activities.ports import Mailboxes, SiteverifyAnswer
from activities.pseudonyms import Pseudonyms
from activities.publishing import PublishingActivities
from activities.turnstile_check import TurnstileActivities
from schemas.inbound import SignInRequested
from schemas.mailbox import MailboxInput
from schemas.policy import Policy
from schemas.signals import SignInInput, SignInOutcome, Submission
from tests.fakes.mail_domains import FakeMailDomains
from tests.fakes.mailbox_world import summary
from tests.fakes.mailer import FakeMailer
from tests.fakes.publisher import FakePublisher
from tests.fakes.verifier import FakeVerifier
from tests.fakes.waiting import until
from utils.temporal.first_attempts import TemporalFirstAttempts
from utils.temporal.mailboxes import TemporalMailboxes
from utils.temporal.workers import build_workers, sandbox
from workflows.names import (
    SIGN_IN_WORKFLOW,
    SUBMIT_SIGNAL,
    VERIFY_OTP_WORKFLOW,
    mail_task_queue,
    mailbox_task_queue,
    mailbox_workflow_id,
    sign_in_workflow_id,
)
from workflows.sign_in import SignInWorkflow
from workflows.verify_otp import VerifyOTPWorkflow

ADA = "ada@example.com"


class Stage:
    """What a test of the workflows plays on. ``wait`` lets the server's time pass."""

    def __init__(self, client: Client, now: Callable[[], Awaitable[datetime]], policy: Policy | None = None) -> None:
        self.client = client
        self.task_queue = f"stage-{uuid.uuid4()}"
        self.policy = policy or Policy()
        self.policy = self.policy.model_copy(update={"mail_task_queue": mail_task_queue(self.task_queue)})
        self.mailer = FakeMailer()
        self.publisher = FakePublisher()
        self.verifier = FakeVerifier()
        self.domains = FakeMailDomains()
        self.keys = CodeKeys({"k": secrets.token_bytes(32)})
        self.pseudonyms = Pseudonyms(secrets.token_bytes(32))  # so no other stage on this server has the same mailboxes
        self.mailboxes: Mailboxes = TemporalMailboxes(client, mailbox_task_queue(self.task_queue))
        self._now = now
        self._solved_at = datetime.now(UTC)

    @asynccontextmanager
    async def working(self, **overrides: Any) -> AsyncIterator["Stage"]:
        """Run the workers. ``overrides`` replaces activities by name."""
        otp = OtpActivities(self.keys)
        hand_over = HandOverActivities(self.mailboxes, TemporalFirstAttempts(self.client))
        activities = {
            one.__name__: one
            for one in (
                EmailActivities(self.domains, self.pseudonyms).validate_email_activity,
                TurnstileActivities(
                    self.verifier, frozenset({"www.example"}), "signin", 300, lambda: self._solved_at
                ).verify_turnstile_activity,
                otp.generate_otp_activity,
                otp.verify_otp_activity,
                hand_over.hand_over_activity,
                hand_over.was_handed_over_activity,
                hand_over.read_first_attempt_activity,
                PublishingActivities(self.publisher).publish_result_activity,
                ClearingActivities().report_clearing_activity,
            )
        }
        workers = build_workers(
            self.client,
            task_queue=self.task_queue,
            request_workflow=SignInWorkflow,
            mailbox_workflow=VerifyOTPWorkflow,
            activities=[*(activities | overrides).values()],
            mail_activity=DeliveryActivities(self.mailer, self.keys, "mail.example", server_time).send_email_activity,
            graceful_s=1,
            runner=sandbox(),
        )

        async with AsyncExitStack() as stack:
            for worker in workers:
                await stack.enter_async_context(worker)
            yield self

    async def request(
        self, signin_id: str = "", attempt: int = 1, email: str = ADA, token: str = "good", **changes: Any
    ) -> WorkflowHandle[Any, SignInOutcome]:
        """Start the workflow of a request, as the consumer does."""
        now = await self._now()
        signin_id = signin_id or uuid.uuid4().hex
        request = {"signin_id": signin_id, "attempt": attempt, "email": email, "requested_at": now}
        request |= {"turnstile_token": f"{token}-{signin_id}-{attempt}", "client": {"ip": "192.0.2.7"}}
        self._script_token(signin_id, attempt, now)
        born_at = changes.pop("born_at", now)

        return await self.client.start_workflow(
            SIGN_IN_WORKFLOW,
            SignInInput(
                request=SignInRequested.model_validate(request | changes),
                born_at=born_at,
                traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                policy=self.policy,
            ),
            id=sign_in_workflow_id(signin_id, attempt),
            task_queue=self.task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            result_type=SignInOutcome,
        )

    async def signed_in(self) -> str:
        """Get as far as the code in the mail; return the sign-in's id."""
        handle = await self.request()
        await handle.result()
        signin_id = handle.id.split("/")[1]
        await until(lambda: "signin.code_sent" in self.outcomes(signin_id))
        return signin_id

    async def submit(self, signin_id: str, code: str, email: str = ADA, submission_id: str = "") -> None:
        """Signal a submission with start, as the consumer does."""
        address = parse_address(email)

        assert address is not None

        key_id, seal = self.keys.seal(signin_id, code)
        submission = Submission(
            signin_id=signin_id,
            submission_id=submission_id or uuid.uuid4().hex,
            account=self.pseudonyms.account(address),
            seal=seal,
            key_id=key_id,
            submitted_at=await self._now(),
        )
        await self.client.start_workflow(
            VERIFY_OTP_WORKFLOW,
            MailboxInput(policy=self.policy),
            id=self.mailbox_id(email),
            task_queue=mailbox_task_queue(self.task_queue),
            start_signal=SUBMIT_SIGNAL,
            start_signal_args=[submission],
        )

    def account(self, email: str = ADA) -> str:
        """Return the pseudonym of an address's account."""
        address = parse_address(email)
        assert address is not None
        return self.pseudonyms.account(address)

    def mailbox_id(self, email: str = ADA) -> str:
        """Return the workflow id of an address's mailbox."""
        address = parse_address(email)
        assert address is not None
        return mailbox_workflow_id(self.pseudonyms.mailbox(address))

    def mailbox(self, email: str = ADA) -> WorkflowHandle[Any, Any]:
        """Return the handle of an address's mailbox."""
        return self.client.get_workflow_handle(self.mailbox_id(email))

    def outcomes(self, signin_id: str) -> list[str]:
        """Return the published results of a sign-in as summaries."""
        return [summary(one.result) for one in self.publisher.published if one.result.signin_id == signin_id]

    async def published(self, count: int) -> None:
        """Wait until so many results were published."""
        await until(lambda: len(self.publisher.published) >= count)

    def code(self, recipient: str = ADA) -> str:
        """Return the code of the last mail to an address."""
        return [mail for mail in self.mailer.sent if mail.recipient == recipient][-1].code.get_secret_value()

    def _script_token(self, signin_id: str, attempt: int, now: datetime) -> None:
        """Let a token pass that was solved just now: local activities see our time, not the server's skipped one."""
        self._solved_at = now
        answer = {
            "success": True,
            "hostname": "www.example",
            "action": "signin",
            "cdata": signin_id,
            "challenge_ts": now,
        }
        self.verifier.script(f"good-{signin_id}-{attempt}", SiteverifyAnswer.model_validate(answer))


def server_time() -> datetime:
    """Return the server's time as an activity sees it: that of the time-skipping server runs ahead of ours."""
    return activity.info().current_attempt_scheduled_time.astimezone(UTC) + timedelta(milliseconds=1)
