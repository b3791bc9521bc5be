"""People who use a mailbox whose workflow runs task by task (``MailboxRun``)."""

from datetime import datetime, timedelta

from schemas.policy import Policy
from schemas.results import ResultEvent
from schemas.signals import Challenge, Submission
from schemas.tasks import CodeVerdict, MailAccepted
from tests.fakes.driven_work import PUBLISH
from tests.fakes.mailbox_run import SEND, VERIFY, MailboxRun, Scheduled
from tests.fakes.mailbox_world import ADA, HOME, RIGHT, START, summary
from workflows.names import OPEN_OR_RESEND_SIGNAL, SUBMIT_SIGNAL


class MailboxPeople:
    """Signals a mailbox, and plays the servers around it.

    ``signin_id`` is the sign-in that was opened last; ``attempts``, the last attempt of each.
    """

    def __init__(self, policy: Policy | None = None, *, single_batch: bool = False) -> None:
        self.policy = policy or Policy()
        self.run = MailboxRun(START, self.policy, single_batch=single_batch)
        self.signin_id = ""
        self._sign_ins = 0
        self._submissions = 0
        self.attempts: dict[str, int] = {}

    @property
    def sign_ins(self) -> list[str]:
        """The sign-ins that were opened."""
        return list(self.attempts)

    def sign_in(self, account: str = ADA, at: datetime | None = None) -> str:
        """Hand over the first attempt of a new sign-in."""
        self._sign_ins += 1
        self.signin_id = f"signin-{self._sign_ins:015}"
        self._hand_over(self.signin_id, 1, account, at)
        return self.signin_id

    def send_again(self, signin_id: str = "", account: str = ADA, at: datetime | None = None) -> None:
        """Hand over the next attempt of a sign-in."""
        signin_id = signin_id or self.signin_id
        self._hand_over(signin_id, self.attempts[signin_id] + 1, account, at)

    def submit(self, signin_id: str, seal: str, account: str = ADA, at: datetime | None = None) -> None:
        """Type a code. It is read at once, unless the test says otherwise."""
        self._submissions += 1
        read_at = at or self.run.now
        submission = Submission(
            signin_id=signin_id,
            submission_id=f"submission-{self._submissions:010}",
            account=account,
            seal=seal,
            key_id="k",
            submitted_at=read_at,
            read_at=read_at,
        )
        self.run.signal(SUBMIT_SIGNAL, submission)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.run.wait(seconds)

    # The servers

    def mails_under_way(self) -> int:
        """Return how many mails the mail server is being asked to take."""
        return len(self.run.started(SEND))

    def accept_mail(self) -> None:
        """Let the mail server accept the mail that is under way."""
        self.accept(self.run.started(SEND)[0])

    def accept(self, mail: Scheduled) -> None:
        """Let the mail server accept one of the mails that are under way."""
        self.run.complete(mail, MailAccepted(at=self.run.now))

    def finish_compare(self) -> None:
        """Let a worker make the compare that is under way as a normal activity."""
        compare = self.run.started(VERIFY)[0]
        self.run.complete(compare, CodeVerdict(correct=compare.task.seal == RIGHT))

    def work(self) -> None:
        """Do workflow tasks, and let Kafka take what they publish, until nothing is left to do now."""
        while self.run.has_news or self.run.started(PUBLISH):
            for publication in self.run.started(PUBLISH):
                self.run.publish(publication)
            self.run.do_task()

    # What was published

    def events(self) -> list[ResultEvent]:
        """Return what was published about the sign-ins that were opened."""
        return [event for event in self.run.published if event.result.signin_id in self.attempts]

    def outcomes(self) -> list[str]:
        """Return it as summaries."""
        return [summary(event.result) for event in self.events()]

    def moments(self) -> list[float]:
        """Return when each was decided, in seconds since the start."""
        return [(event.result.occurred_at - START) / timedelta(seconds=1) for event in self.events()]

    def are_repeats_equal(self) -> bool:
        """Tell whether something was published again, and whether all repeats have the same bytes."""
        events = self.events()
        values = {(event.event_id, event.value()) for event in events}
        return len(values) == len({event.event_id for event in events}) < len(events)

    def _hand_over(self, signin_id: str, attempt: int, account: str, at: datetime | None) -> None:
        decided_at = at or self.run.now
        self.attempts[signin_id] = attempt
        challenge = Challenge(
            signin_id=signin_id,
            attempt=attempt,
            email="ada@example.com",
            account=account,
            requested_at=decided_at,
            born_at=decided_at,
            decided_at=decided_at,
            key_id="k",
            network=HOME,
            policy=self.policy,
        )
        self.run.signal(OPEN_OR_RESEND_SIGNAL, challenge)
