"""Stand-ins for the two workflows, for tests of what talks to them. A module of its own, since the sandbox loads it."""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from schemas.mailbox import MailboxInput
from schemas.policy import Policy
from schemas.signals import Challenge, Refusal, SignInOutcome

ACCEPTED = SignInOutcome(status="accepted", account="a", mailbox="m")


@workflow.defn(name="verify_otp_workflow")
class MailboxStandIn:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Challenge | Refusal] = []
        self.policy: Policy | None = None

    @workflow.run
    async def run(self, arguments: MailboxInput) -> None:
        """Stay open."""
        self.policy = arguments.policy
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def open_or_resend(self, challenge: Challenge) -> None:
        """Take a challenge."""
        self.told.append(challenge)

    @workflow.signal
    def refuse_resend(self, refusal: Refusal) -> None:
        """Take a refusal."""
        self.told.append(refusal)

    @workflow.query
    def has_taken(self, signin_id: str) -> bool:
        """Tell whether a challenge was taken."""
        return any(isinstance(one, Challenge) and one.signin_id == signin_id for one in self.told)

    @workflow.query
    def kinds(self) -> list[str]:
        """Return what was taken, in order, then the digits of the policy."""
        return [f"{type(message).__name__} {message.attempt}" for message in self.told] + [
            str(self.policy and self.policy.otp.digits)
        ]


@workflow.defn(name="sign_in_workflow")
class SignInStandIn:
    """Does as it is told."""

    @workflow.run
    async def run(self, what: str) -> SignInOutcome:
        """Stay open, fail, or return an outcome."""
        await workflow.wait_condition(lambda: what != "stay")
        if what == "fail":
            raise ApplicationError("failed on purpose")
        return ACCEPTED
