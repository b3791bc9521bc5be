"""The state machine of one sign-in. Requests and submissions set it up; its results, in order, move it."""

from enum import Enum, auto
from math import inf
from typing import Final

from tests.history_check.lines import Emitted, Result
from tests.history_check.mailboxes import Mailbox
from tests.history_check.verdicts import Verdicts
from tests.history_check.violations import Violation, Violations

TERMINAL: Final = {"signin.succeeded", "signin.failed", "signin.expired", "signin.rejected"}
_OPENING_FAULTS: Final = {"challenge_failed", "undeliverable_email", "invalid_email"}


class Phase(Enum):
    """Where a sign-in stands. ``EXHAUSTED``: the last try was wrong, so that only ``signin.failed`` may follow."""

    NEW = auto()
    LIVE = auto()
    EXHAUSTED = auto()
    ENDED = auto()


class SignIn:
    """One sign-in. Each result must be allowed where it stands."""

    def __init__(self, signin_id: str) -> None:
        self.signin_id = signin_id
        self.phase = Phase.NEW
        self.sent = 0
        self.ended_at = inf
        self.mailbox: Mailbox | None = None
        self.requests: dict[int, Emitted] = {}
        self._answered: set[int] = set()
        self._decided_at = inf
        self._expires_at = inf
        self._verdicts = Verdicts(signin_id)

    def requested(self, request: Emitted, mailbox: Mailbox) -> None:
        """Take a request of the log. A repeat has no effect."""
        self.requests.setdefault(request.attempt or 0, request)
        self.mailbox = self.mailbox or mailbox
        mailbox.ask(request)

    def submitted(self, submission: Emitted) -> None:
        """Take a submission of the log. A repeat has no effect."""
        self._verdicts.submitted(submission)

    def move(self, result: Result) -> Violations:
        """Take the next result, which is no repeat."""
        if result.reason == "unknown_signin":
            yield from self._unknown(result)
            return

        if 1 not in self.requests:
            yield self._broken("order", f"{result.type}, but nobody opened this sign-in")
            return

        if self.phase is Phase.ENDED:
            what = "a second terminal result" if result.type in TERMINAL else "a result after the end"
            yield self._broken("end", f"{result.type} is {what}")
            return

        yield from self._allowed(result)
        yield from self._step(result)
        if result.type in TERMINAL:
            self.phase = Phase.ENDED
            self.ended_at = result.timestamp
            self._decided_at = result.occurred_at

    def finish(self) -> Violations:
        """Look for what never came: the end, an answer to an attempt, a verdict."""
        if 1 not in self.requests:
            return

        if self.phase is not Phase.ENDED:
            yield self._broken("end", f"it has no terminal result; it is {self.phase.name.lower()}")

        for attempt in self.requests.keys() - self._answered:
            if self.requests[attempt].timestamp < self._decided_at < inf:
                yield self._broken("lost", f"attempt {attempt} was never answered")

        yield from self._verdicts.finish()

    def _unknown(self, result: Result) -> Violations:
        if result.submission_id is not None and self.phase is not Phase.NEW:
            yield self._broken("order", "unknown_signin, but it is known")

    def _allowed(self, result: Result) -> Violations:
        """Check the phase."""
        if self.phase is Phase.EXHAUSTED and result.type != "signin.failed":
            yield self._broken("compares", f"{result.type} after the last try; signin.failed must follow")

        if result.type == "signin.succeeded" and not self.sent:
            yield self._broken("order", "signin.succeeded without a signin.code_sent before it")
        if result.type == "signin.rejected" and self.phase is not Phase.NEW:
            yield self._broken("order", "signin.rejected after the sign-in was accepted")
        if result.reason == "too_many_attempts" and self.phase is not Phase.EXHAUSTED:
            yield self._broken("compares", "it failed for too many attempts, which it did not have")

    def _step(self, result: Result) -> Violations:
        match result.type:
            case "signin.code_sent":
                yield from self._code_sent(result)
            case "signin.resend_refused":
                yield from self._answer(result.attempt or 0, result)
            case "signin.rejected":
                yield from self._rejected(result)
            case "otp.rejected" | "signin.succeeded":
                yield from self._verdict(result)
            case "signin.expired":
                self._answered.add(1)
                if self.sent and result.occurred_at < self._expires_at:
                    yield self._broken("end", "it expired before its time")
            case "signin.failed":
                self._answered.add(1)
            case unknown:
                yield self._broken("form", f"{unknown} is no result of the contract")

    def _code_sent(self, result: Result) -> Violations:
        attempt = result.attempt or 0
        self.sent += 1
        self.phase = Phase.LIVE
        self._expires_at = result.expires_at or inf
        yield from self._answer(attempt, result)

        request = self.requests.get(attempt)
        if request is not None and not request.is_acceptable:
            yield self._broken("mails", f"attempt {attempt} got a mail, which it did not deserve")
        if self.mailbox is not None and self.mailbox.count(before=result.timestamp) < self.sent:
            yield self._broken("mails", f"signin.code_sent for attempt {attempt}, but no mail had arrived")

    def _rejected(self, result: Result) -> Violations:
        yield from self._answer(1, result)
        if result.reason in _OPENING_FAULTS and self.requests[1].is_acceptable:
            yield self._broken("order", f"rejected for {result.reason}, though its request was good")

    def _answer(self, attempt: int, result: Result) -> Violations:
        request = self.requests.get(attempt)
        if request is None:
            yield self._broken("order", f"{result.type} for attempt {attempt}, which nobody requested")
        elif result.occurred_at < request.timestamp:
            yield self._broken("order", f"{result.type} before attempt {attempt} was requested")

        if attempt in self._answered:
            yield self._broken("doubled", f"attempt {attempt} was answered twice")

        self._answered.add(attempt)

    def _verdict(self, result: Result) -> Violations:
        codes = self.mailbox.codes(before=result.timestamp) if self.mailbox else set()
        yield from self._verdicts.given(result, codes)

        if self._verdicts.left == 0 and result.type == "otp.rejected":
            self.phase = Phase.EXHAUSTED
        if result.type == "signin.succeeded" and result.occurred_at >= self._expires_at:
            yield self._broken("end", "it succeeded after the code had expired")

    def _broken(self, rule: str, text: str) -> Violation:
        return Violation(rule, self.signin_id, text)
