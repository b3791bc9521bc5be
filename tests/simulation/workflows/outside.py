"""The world that the activities reach: a mail server, siteverify, DNS and Kafka."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime

from activities.errors import ChallengeUnavailable, MailRefused, MailUnavailable, PublishUnavailable
from activities.ports import CodeMail, SiteverifyAnswer
from schemas.results import ResultEvent
from schemas.tasks import MailToSend
from tests.simulation.story import Story
from tests.simulation.workflows.agenda import Act, Agenda
from tests.simulation.workflows.ledger import Ledger, Mailed, Published

WITHOUT_MAIL = "nomail.example"
_LONG_AGO = datetime(2026, 11, 27, tzinfo=UTC)
_FLAWS = (None, {"hostname": "example.net"}, {"action": "comment"}, {"cdata": "another"}, {"challenge_ts": _LONG_AGO})
"""What is wrong with tokens that are not good. None: siteverify does not know them."""

_VERDICTS = frozenset({"signin.succeeded", "otp.rejected"})


class WorkerDied(BaseException):
    """Raised in an activity when its process dies."""


@dataclass
class Weather:
    """What goes wrong outside. Each is a share of the calls."""

    mail_later: float = 0.0
    mail_never: float = 0.0
    mail_unanswered: float = 0.0
    siteverify_down: float = 0.0
    kafka_down: float = 0.0
    kafka_unanswered: float = 0.0
    deaths: float = 0.0


@dataclass
class Token:
    """A solved challenge. ``spent_by``: the idempotency key of the call that redeemed it.

    One that is not good is unknown to siteverify, or was solved on another page, for another sign-in or too long ago.
    """

    signin_id: str
    solved_at: datetime
    is_good: bool = True
    spent_by: str | None = None


class Outside:
    """Fulfils ``Mailer``, ``ChallengeVerifier``, ``MailDomains`` and ``Publisher``.

    ``after_verdict``: done once a verdict is published next; its worker dies.
    """

    def __init__(self, agenda: Agenda, rng: random.Random, story: Story, ledger: Ledger) -> None:
        self.weather = Weather()
        self.tokens: dict[str, Token] = {}
        self.began_at = 0.0
        self.task: object = None
        self.after_verdict: Act | None = None
        self._agenda = agenda
        self._rng = rng
        self._story = story
        self._ledger = ledger

    async def send(self, mail: CodeMail) -> None:
        """Accept a mail, or say why not."""
        if self._happens(self.weather.mail_never):
            self._story.add("mail refused for good")
            raise MailRefused
        if self._happens(self.weather.mail_later):
            self._story.add("mail refused for now")
            raise MailUnavailable

        assert isinstance(self.task, MailToSend)
        self._story.add("mail accepted", f"{self.task.signin_id} attempt {self.task.attempt}")
        self._ledger.mails.append(Mailed(self.began_at, self._agenda.now, self.task, mail))
        self._maybe_die()
        if self._happens(self.weather.mail_unanswered):
            self._story.add("mail accepted, answer lost")
            raise MailUnavailable

    async def siteverify(self, *, token: str, ip: str | None, idempotency_key: str) -> SiteverifyAnswer:
        """Redeem a token. Again with the same key, the answer is the same."""
        if self._happens(self.weather.siteverify_down):
            self._story.add("siteverify away")
            raise ChallengeUnavailable

        solved = self.tokens.get(token)
        flaw = _FLAWS[int(token[-1], 16) % len(_FLAWS)] if solved is not None and not solved.is_good else {}
        is_valid = solved is not None and flaw is not None and solved.spent_by in (None, idempotency_key)
        if solved is None or not is_valid:
            return SiteverifyAnswer.model_validate({"success": False, "error-codes": ["timeout-or-duplicate"]})

        solved.spent_by = idempotency_key
        self._maybe_die()
        good = {"hostname": "example.com", "action": "signin", "cdata": solved.signin_id}
        answer = SiteverifyAnswer(success=True, challenge_ts=solved.solved_at, **good)
        return answer.model_copy(update=flaw)

    async def accept_mail(self, domain: str) -> bool:
        """Tell whether a domain takes mail."""
        return domain != WITHOUT_MAIL

    async def publish(self, event: ResultEvent) -> None:
        """Take a result."""
        if self._happens(self.weather.kafka_down):
            self._story.add("Kafka away")
            raise PublishUnavailable

        self._story.add(f"published {event.result.type}", f"{event.result.signin_id} {_reason(event)}")
        self._ledger.published.append(
            Published(
                self._agenda.now, event.event_id, event.result, event.key(), event.value(), tuple(event.headers())
            )
        )
        if self.after_verdict is not None and event.result.type in _VERDICTS:
            self.after_verdict()
            self.after_verdict = None
            self._story.add("worker died right after a verdict")
            raise WorkerDied
        self._maybe_die()
        if self._happens(self.weather.kafka_unanswered):
            self._story.add("published, answer lost")
            raise PublishUnavailable

    def _happens(self, share: float) -> bool:
        return share > 0 and self._rng.random() < share

    def _maybe_die(self) -> None:
        """Let the process die right after it did something, before it can tell anybody."""
        if self._happens(self.weather.deaths):
            self._story.add("worker died right after its effect")
            raise WorkerDied


def _reason(event: ResultEvent) -> str:
    return str(getattr(event.result, "reason", ""))
