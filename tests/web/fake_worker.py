"""A stand-in for Kafka and the worker: answers each event at once, with the results that the contract promises."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from schemas.results import (
    CodeSent,
    OtpRejected,
    RejectReason,
    Result,
    ResultEvent,
    SignInFailed,
    SignInRejected,
    SignInSucceeded,
)
from web_login.events import Event
from web_login.kafka import Apply, EmitError
from web_login.settings import Settings

CODE: Final = "12345678"
ACCOUNT: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
_MAX_CODES: Final = 5
_REASONS: Final[dict[str, RejectReason]] = {
    "throttled": "throttled",
    "locked": "locked",
    "nowhere": "undeliverable_email",
    "misspelt": "invalid_email",
    "bot": "challenge_failed",
    "late": "stale",
}


class FakeWorker:
    """The local part of an address says what becomes of its sign-in: ``throttled@…`` is throttled.

    With ``is_down`` no event is taken. With ``is_slow`` results wait for ``publish``.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_down = False
        self.is_slow = False
        self.is_reading = False
        self._apply: Apply | None = None
        self._rejected: set[str] = set()
        self._wrong: Counter[str] = Counter()
        self._results: list[Result] = []

    def connect(self, settings: Settings, apply: Apply) -> "FakeWorker":
        """Take the place of the connection to Kafka."""
        self._apply = apply
        return self

    async def start(self) -> None:
        """Begin to answer."""
        self.is_reading = True

    async def stop(self) -> None:
        """Stop."""
        self.is_reading = False

    async def emit(self, event: Event) -> None:
        """Take an event, and publish its results."""
        if self.is_down:
            raise EmitError("no broker")

        self.events.append(event)
        value = json.loads(event.body)
        self._results += self._requested(value) if event.type == "signin.requested" else self._submitted(value)
        if not self.is_slow:
            self.publish()

    def publish(self) -> None:
        """Publish all results so far, each twice: repeats are part of the contract."""
        assert self._apply is not None
        for result in self._results:
            record = ResultEvent(result=result)
            for _ in range(2):
                self._apply(result.type, record.event_id, json.loads(record.value()))

        self._results.clear()

    def emitted(self, kind: str) -> list[dict[str, Any]]:
        """Return the values of all events of a kind."""
        return [dict(event.value) for event in self.events if event.type == kind]

    def _requested(self, value: dict[str, Any]) -> list[Result]:
        signin_id = value["signin_id"]
        now = datetime.now(UTC)
        if reason := _REASONS.get(value["email"].partition("@")[0]):
            if value["attempt"] > 1:
                return []
            self._rejected.add(signin_id)
            return [SignInRejected(signin_id=signin_id, occurred_at=now, reason=reason)]

        later = now + timedelta(seconds=300)
        return [
            CodeSent(
                signin_id=signin_id,
                account=ACCOUNT,
                occurred_at=now,
                attempt=value["attempt"],
                expires_at=later,
                resend_after=now,
            )
        ]

    def _submitted(self, value: dict[str, Any]) -> list[Result]:
        signin_id = value["signin_id"]
        if signin_id in self._rejected:
            return []

        common = {"signin_id": signin_id, "account": ACCOUNT, "occurred_at": datetime.now(UTC)}
        submission_id = value["submission_id"]
        if "".join(value["code"].split()) == CODE:
            return [SignInSucceeded(submission_id=submission_id, **common)]

        self._wrong[signin_id] += 1
        left = _MAX_CODES - self._wrong[signin_id]
        wrong = OtpRejected(submission_id=submission_id, reason="wrong_code", attempts_left=left, **common)
        return [wrong] if left else [wrong, SignInFailed(reason="too_many_attempts", **common)]
