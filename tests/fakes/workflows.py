"""Stand-ins for the two workflows, for tests of their clients.

The sandbox loads this module, so it holds nothing else.
"""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from schemas.mailbox import MailboxInput
from schemas.policy import Policy
from schemas.signals import Challenge, Refusal, Rejection, SignInOutcome

ACCEPTED = SignInOutcome(status="accepted", account="a", mailbox="m")


@workflow.defn(name="verify_otp_workflow")
class MailboxStandIn:
    """Keeps the messages that it receives."""

    def __init__(self) -> None:
        self.messages: list[Challenge | Refusal | Rejection] = []
        self.policy: Policy | None = None

    @workflow.run
    async def run(self, arguments: MailboxInput) -> None:
        """Stay open."""
        self.policy = arguments.policy
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def open_or_resend(self, challenge: Challenge) -> None:
        """Keep a challenge."""
        self.messages.append(challenge)

    @workflow.signal
    def refuse_resend(self, refusal: Refusal) -> None:
        """Keep a refusal."""
        self.messages.append(refusal)

    @workflow.signal
    def reject(self, rejection: Rejection) -> None:
        """Keep a rejection."""
        self.messages.append(rejection)

    @workflow.query
    def kinds(self) -> list[str]:
        """Return what has arrived, in order, then the digits of the policy."""
        kinds = [f"{type(message).__name__} {message.attempt}" for message in self.messages]
        return [*kinds, str(self.policy and self.policy.otp.digits)]


@workflow.defn(name="sign_in_workflow")
class SignInStandIn:
    """Ends as its input asks."""

    @workflow.run
    async def run(self, what: str) -> SignInOutcome:
        """Stay open, fail, or return an outcome."""
        await workflow.wait_condition(lambda: what != "stay")
        if what == "fail":
            raise ApplicationError("failed on purpose")
        return ACCEPTED
