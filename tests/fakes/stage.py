"""Both workflows on a Temporal server, with the real activities and fakes of everything outside."""

import copy
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy

from activities.addresses import Address, parse_address
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
from utils.temporal.workers import Release, build_workers, sandbox
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
    """Runs both workflows and plays the consumer. ``now`` returns the server's time."""

    def __init__(
        self,
        client: Client,
        now: Callable[[], Awaitable[datetime]],
        policy: Policy | None = None,
    ) -> None:
        self.client = client
        self.task_queue = f"stage-{uuid.uuid4()}"
        mail_queue = mail_task_queue(self.task_queue)
        self.policy = (policy or Policy()).model_copy(update={"mail_task_queue": mail_queue})

        self.mailer = FakeMailer()
        self.publisher = FakePublisher()
        self.verifier = FakeVerifier()
        self.domains = FakeMailDomains()
        self.keys = CodeKeys({"k": secrets.token_bytes(32)})
        # A key of its own, so that no other stage on this server has the same mailboxes.
        self.pseudonyms = Pseudonyms(secrets.token_bytes(32))
        self.mailboxes: Mailboxes = TemporalMailboxes(client, mailbox_task_queue(self.task_queue))

        self.starts_eagerly = False

        self._now = now
        self._solved_at = datetime.now(UTC)

    def beside(self, client: Client) -> "Stage":
        """Return the stage of another process: same keys and world outside, but a client of its own."""
        other = copy.copy(self)
        other.client = client
        other.mailboxes = TemporalMailboxes(client, mailbox_task_queue(self.task_queue))
        return other

    @asynccontextmanager
    async def working(
        self,
        *,
        release: Release | None = None,
        workflows: tuple[type, type] = (SignInWorkflow, VerifyOTPWorkflow),
        **overrides: Any,
    ) -> AsyncIterator["Stage"]:
        """Run the workers. ``overrides`` replaces activities by name."""
        delivery = DeliveryActivities(self.mailer, self.keys, "mail.example", server_time)
        workers = build_workers(
            self.client,
            task_queue=self.task_queue,
            request_workflow=workflows[0],
            mailbox_workflow=workflows[1],
            activities=[*(self._activities() | overrides).values()],
            mail_activity=delivery.send_email_activity,
            graceful_s=1,
            runner=sandbox(),
            release=release,
        )

        async with AsyncExitStack() as stack:
            for worker in workers:
                await stack.enter_async_context(worker)
            yield self

    def _activities(self) -> dict[str, Callable[..., Any]]:
        """Return the activities by name, without that of the mails."""
        email_check = EmailActivities(self.domains, self.pseudonyms)
        turnstile = TurnstileActivities(
            self.verifier, frozenset({"www.example"}), "signin", 300, lambda: self._solved_at
        )
        otp = OtpActivities(self.keys)
        hand_over = HandOverActivities(self.mailboxes, TemporalFirstAttempts(self.client), lambda: self._solved_at)

        activities: list[Callable[..., Any]] = [
            email_check.validate_email_activity,
            turnstile.verify_turnstile_activity,
            otp.generate_otp_activity,
            otp.verify_otp_activity,
            hand_over.hand_over_activity,
            hand_over.read_first_attempt_activity,
            PublishingActivities(self.publisher).publish_result_activity,
            ClearingActivities().report_clearing_activity,
        ]
        return {one.__name__: one for one in activities}

    async def request(
        self, signin_id: str = "", attempt: int = 1, email: str = ADA, token: str = "good", **changes: Any
    ) -> WorkflowHandle[Any, SignInOutcome]:
        """Start the workflow of a request, as the consumer does."""
        now = await self._now()
        signin_id = signin_id or uuid.uuid4().hex
        born_at = changes.pop("born_at", now)
        request = {
            "signin_id": signin_id,
            "attempt": attempt,
            "email": email,
            "requested_at": now,
            "turnstile_token": f"{token}-{signin_id}-{attempt}",
            "client": {"ip": "192.0.2.7"},
        }
        self._script_token(signin_id, attempt, now)

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
            request_eager_start=self.starts_eagerly,
        )

    async def open_sign_in(self) -> str:
        """Request a sign-in, wait until its code was sent, and return its id."""
        handle = await self.request()
        await handle.result()
        signin_id = handle.id.split("/")[1]
        await until(lambda: "signin.code_sent" in self.outcomes(signin_id))

        return signin_id

    async def submit(self, signin_id: str, code: str, email: str = ADA, submission_id: str = "") -> None:
        """Signal a submission to its mailbox and start that if needed, as the consumer does."""
        key_id, seal = self.keys.seal(signin_id, code)
        submission = Submission(
            signin_id=signin_id,
            submission_id=submission_id or uuid.uuid4().hex,
            account=self.account(email),
            seal=seal,
            key_id=key_id,
            submitted_at=await self._now(),
            read_at=await self._now(),
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
        return self.pseudonyms.account(_parsed(email))

    def mailbox_id(self, email: str = ADA) -> str:
        """Return the workflow id of an address's mailbox."""
        return mailbox_workflow_id(self.pseudonyms.mailbox(_parsed(email)))

    def mailbox(self, email: str = ADA) -> WorkflowHandle[Any, Any]:
        """Return the handle of an address's mailbox."""
        return self.client.get_workflow_handle(self.mailbox_id(email))

    def outcomes(self, signin_id: str) -> list[str]:
        """Return the published results of a sign-in as summaries."""
        results = [published.result for published in self.publisher.published]
        return [summary(result) for result in results if result.signin_id == signin_id]

    async def wait_for_results(self, count: int) -> None:
        """Wait until ``count`` results are published."""
        await until(lambda: len(self.publisher.published) >= count)

    def code(self, recipient: str = ADA) -> str:
        """Return the code of the last mail to an address."""
        mails = [mail for mail in self.mailer.sent if mail.recipient == recipient]
        return mails[-1].code.get_secret_value()

    def _script_token(self, signin_id: str, attempt: int, now: datetime) -> None:
        """Accept the token as solved just now. Local activities see our time, not the server's skipped time."""
        self._solved_at = now
        answer = {
            "success": True,
            "hostname": "www.example",
            "action": "signin",
            "cdata": signin_id,
            "challenge_ts": now,
        }
        self.verifier.script(f"good-{signin_id}-{attempt}", SiteverifyAnswer.model_validate(answer))


def _parsed(email: str) -> Address:
    address = parse_address(email)
    assert address is not None
    return address


def server_time() -> datetime:
    """Return the server's time as an activity sees it. A time-skipping server is ahead of our clock."""
    scheduled_at = activity.info().current_attempt_scheduled_time
    return scheduled_at.astimezone(UTC) + timedelta(milliseconds=1)
