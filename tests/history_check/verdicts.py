"""The submissions of one sign-in and their verdicts: one each, at most five compares, and right."""

from typing import Final

from tests.history_check.lines import Emitted, Result
from tests.history_check.violations import Violation, Violations

MAX_COMPARES: Final = 5


class Verdicts:
    """Counts the compares of a sign-in. ``left``: how many wrong codes it may still get."""

    def __init__(self, signin_id: str) -> None:
        self.left = MAX_COMPARES
        self._signin_id = signin_id
        self._compares = 0
        self._submissions: dict[str, Emitted] = {}
        self._judged: list[Emitted] = []

    def submitted(self, submission: Emitted) -> None:
        """Take a submission of the log. A repeat has no effect."""
        self._submissions.setdefault(submission.submission_id or "", submission)

    def given(self, result: Result, codes: set[str]) -> Violations:
        """Take a verdict. ``codes``: those that were in the mails by then."""
        submission = self._submissions.get(result.submission_id or "")
        if submission is None:
            yield self._broken("order", f"{result.type} for a submission that nobody made")
            return

        if submission in self._judged:
            yield self._broken("doubled", f"submission {submission.submission_id} has two verdicts")
        if result.occurred_at < submission.timestamp:
            yield self._broken("order", f"{result.type} before submission {submission.submission_id} was made")

        yield from self._in_order(submission)
        yield from self._count(result)
        yield from self._compare(result, is_right=submission.code in codes)
        self._judged.append(submission)

    def finish(self) -> Violations:
        """Look for submissions without a verdict, though a later one of the same partition has one."""
        for submission in self._submissions.values():
            later = [one for one in self._judged if _is_before(submission, one)]
            if submission not in self._judged and later:
                yield self._broken("lost", f"submission {submission.submission_id} has no verdict")

    def _in_order(self, submission: Emitted) -> Violations:
        if any(_is_before(submission, earlier) for earlier in self._judged):
            yield self._broken("order", f"submission {submission.submission_id} was judged after a later one")

    def _count(self, result: Result) -> Violations:
        if result.reason == "locked":
            if result.attempts_left != self.left:
                yield self._broken("compares", "a submission that was locked out was charged")
            return

        self._compares += 1
        if self._compares > MAX_COMPARES:
            yield self._broken("compares", f"{self._compares} codes were compared")

    def _compare(self, result: Result, *, is_right: bool) -> Violations:
        if result.type == "signin.succeeded":
            if not is_right:
                yield self._broken("verdict", "signin.succeeded for a code that was in no mail")
        elif result.reason == "wrong_code":
            self.left -= 1
            if result.attempts_left != self.left:
                yield self._broken("compares", f"{result.attempts_left} tries left, but it should be {self.left}")
            if is_right:
                yield self._broken("verdict", "wrong_code for the code in the mail")

    def _broken(self, rule: str, text: str) -> Violation:
        return Violation(rule, self._signin_id, text)


def _is_before(one: Emitted, other: Emitted) -> bool:
    return one.position[:2] == other.position[:2] and one.offset < other.offset
