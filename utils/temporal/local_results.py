"""The results of one sign-in that local activities published. History keeps no more of them than their ids."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from schemas.results import CODE_SENT, FAILED, REJECTED, SUCCEEDED, code_sent_id, end_id, rejected_id
from schemas.signals import Submission


class LocalResult(NamedTuple):
    """A result, as far as it is known."""

    event_id: str
    type: str
    details: dict[str, str | int]


class LocalResults:
    """Recognises results by the ids that they would have, were they published."""

    def __init__(self, signin_id: str) -> None:
        self._signin_id = signin_id
        self._attempts: set[int] = set()
        self._submissions: dict[str, str] = {}

    def add_mail(self, attempt: int) -> None:
        """Note that a mail was sent."""
        self._attempts.add(attempt)

    def add_submission(self, submission: Submission) -> None:
        """Note that a code was submitted."""
        self._submissions[submission.submission_id] = submission.account

    def among(self, event_ids: Collection[str]) -> list[LocalResult]:
        """Return the sign-in's results among those that were published together."""
        return [result for result in self._candidates() if result.event_id in event_ids]

    def _candidates(self) -> Iterator[LocalResult]:
        signin_id = self._signin_id

        for attempt in sorted(self._attempts):
            yield LocalResult(code_sent_id(signin_id, attempt), CODE_SENT, {"attempt": attempt})
        for submission_id, account in self._submissions.items():
            yield LocalResult(rejected_id(signin_id, account, submission_id), REJECTED, {"reason": "wrong_code"})

        yield LocalResult(end_id(SUCCEEDED, signin_id), SUCCEEDED, {})
        yield LocalResult(end_id(FAILED, signin_id), FAILED, {"reason": "too_many_attempts"})
