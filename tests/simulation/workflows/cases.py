"""One sign-in as the oracle sees it: what was asked, what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from schemas.policy import Policy
from schemas.results import TERMINAL_TYPES, CodeSent, OtpRejected
from schemas.signals import Challenge, Submission
from tests.simulation.workflows.ledger import Ledger, MailAnswer, Mailed, Published, Signalled, SignIn, first_times
from workflows.names import mailbox_workflow_id


@dataclass
class Case:
    """A sign-in with everything that is known of it. ``results``: each once, without ``unknown_signin``."""

    story: SignIn
    policy: Policy
    ledger: Ledger
    results: Sequence[Published]
    unknown: Sequence[Published]
    signals: Sequence[Signalled]
    mails: Sequence[Mailed]

    @property
    def name(self) -> str:
        """The sign-in's id."""
        return self.story.signin_id

    @cached_property
    def terminal(self) -> Published | None:
        """The terminal result, or the first if there are several."""
        return next((one for one in self.results if one.result.type in TERMINAL_TYPES), None)

    @cached_property
    def code_sents(self) -> dict[int, CodeSent]:
        """The attempts whose mail arrived."""
        return {one.result.attempt: one.result for one in self.results if isinstance(one.result, CodeSent)}

    @cached_property
    def expires_at(self) -> datetime | None:
        """When the code expires, as the results say."""
        return next((one.expires_at for one in self.code_sents.values()), None)

    @cached_property
    def codes(self) -> set[str]:
        """The codes in its mails: one, if all is well."""
        return {one.mail.code.get_secret_value() for one in self.mails}

    @cached_property
    def submissions(self) -> dict[str, Signalled]:
        """The first signal of each submission of its account, by submission."""
        found: dict[str, Signalled] = {}
        for signal in self.signals:
            if isinstance(signal.content, Submission) and signal.content.account == self.story.account:
                found.setdefault(signal.content.submission_id, signal)
        return found

    @cached_property
    def opening(self) -> Signalled | None:
        """The first signal that opens the sign-in."""
        return self.attempts.get(1)

    @cached_property
    def answers(self) -> dict[int, MailAnswer]:
        """What history knows first of each accepted mail, by attempt."""
        found: dict[int, MailAnswer] = {}
        for one in self.ledger.answers:
            if one.signin_id == self.name:
                found.setdefault(one.attempt, one)
        return found

    @cached_property
    def answered(self) -> dict[int, datetime]:
        """When the mails were accepted of which history knows.

        A run that is full beyond all limits may end without taking in what came with its last task (ADR 30).
        """
        mailbox = mailbox_workflow_id(self.story.mailbox or "")
        cuts = [cut for cut in self.ledger.cut_short if cut.mailbox == mailbox]
        return {
            attempt: one.accepted_at
            for attempt, one in self.answers.items()
            if not any(cut.since <= one.at <= cut.at for cut in cuts)
        }

    @cached_property
    def attempts(self) -> dict[int, Signalled]:
        """The first signal of each acceptable attempt."""
        found: dict[int, Signalled] = {}
        for signal in self.signals:
            if isinstance(signal.content, Challenge):
                found.setdefault(signal.content.attempt, signal)
        return found


def cases_of(ledger: Ledger, policy: Policy) -> list[Case]:
    """Return a case for each sign-in."""
    results: dict[str, list[Published]] = {}
    for one in first_times(ledger.published):
        results.setdefault(one.result.signin_id, []).append(one)
    signals: dict[str, list[Signalled]] = {}
    for signal in ledger.signals:
        signals.setdefault(signal.signin_id, []).append(signal)

    cases = []
    for name, story in ledger.sign_ins.items():
        own = results.get(name, [])
        known = [one for one in own if not is_unknown(one)]
        unknown = [one for one in own if is_unknown(one)]
        cases.append(Case(story, policy, ledger, known, unknown, signals.get(name, []), ledger.mails_of(name)))
    return cases


def is_unknown(one: Published) -> bool:
    """Tell whether a result stands outside any order."""
    return getattr(one.result, "reason", None) == "unknown_signin"


def wrong_codes(case: Case) -> list[OtpRejected]:
    """Return the rejections of wrong codes."""
    rejected = [one.result for one in case.results if isinstance(one.result, OtpRejected)]
    return [one for one in rejected if one.reason == "wrong_code"]
