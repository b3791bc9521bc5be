"""The records that emitters write, and what must become of each."""

import json
import random
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any, Final, Literal

from activities.addresses import parse_address
from consumers.ports import Headers
from schemas.dead_letters import DltHeader
from schemas.topics import REQUESTED_TOPIC, SUBMITTED_TOPIC
from tests.simulation.consumer.clocks import BEGINNING
from tests.simulation.consumer.temporal_model import REFUSED, Effect

_SIGN_INS: Final = 12
_MAILBOXES: Final = 5
_LATE_S: Final = (601, 3_600, 90_000)
_OLD_S: Final = 450
"""Of submissions that are old, and not too old even if they are handled a while later."""

_OFTEN: Final = 8
_ELSEWHERE: Final = 7
"""A partition that no topic has."""

GROUP: Final = "signin-worker"
SECRETS: Final = (b"person0@example.com", b"1234 5678")
"""What no dead letter's reason may quote."""


@cache
def _mailbox_of(email: str) -> str:
    address = parse_address(email)
    assert address is not None
    return address.mailbox


HOT_MAILBOX: Final = _mailbox_of("person0@example.com")
"""The lane of the mailbox that ``hot_share`` of the submissions are for."""

Fate = Literal["effect", "dead letter", "late"]

Origin = tuple[str, int, int]
"""A topic, the number of a partition and an offset."""


@dataclass(frozen=True)
class Event:
    """One record to write. ``effect``: what it must do, if anything; ``lane``: whose order it keeps.

    ``error``: what its dead letter must say. ``origin``: where it lay when it became a dead letter first.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    fate: Fate
    effect: Effect = ()
    lane: str = ""
    error: str = ""
    origin: Origin | None = None


class EventMaker:
    """Makes up events, good ones and bad ones. Some are made twice, as by an emitter that got no answer."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.bad_share = 0.15
        self.hot_share = 0.0
        self._made = 0
        self._attempts: dict[int, int] = {}
        self._last: list[Event] = []

    def make(self, now_s: float) -> Event:
        """Make up one event, at ``now_s`` seconds after the beginning."""
        if self._last and self._rng.random() < 0.08:
            return self._rng.choice(self._last)

        self._made += 1
        draw = self._rng.random()
        if draw < self.bad_share:
            event = self._bad(now_s)
        elif draw < self.bad_share + 0.45:
            event = self._request(now_s)
        else:
            event = self._submission(now_s)

        self._last = [*self._last[-5:], event]
        return event

    def _request(self, now_s: float, **members: Any) -> Event:
        sign_in = self._rng.randrange(_SIGN_INS)
        attempt = self._attempts.get(sign_in, 0) % 20 + 1
        self._attempts[sign_in] = attempt
        signin_id = f"{sign_in:021d}{'abcdefghij'[self._made // 240 % 10]}"
        data = {
            "signin_id": signin_id,
            "attempt": attempt,
            "email": f"person{sign_in}@example.com",
            "requested_at": _time(now_s),
        }
        effect = ("start", signin_id, str(attempt))

        return Event(
            REQUESTED_TOPIC, signin_id.encode(), _json(data | members), self._headers(), "effect", effect, signin_id
        )

    def _submission(self, now_s: float, age_s: float | None = None) -> Event:
        if age_s is None:
            age_s = 0 if self._made % _OFTEN else _OLD_S
        person = 0 if self._rng.random() < self.hot_share else self._rng.randrange(_MAILBOXES)
        email = f"person{person}@example.com"
        submission_id = f"submission{self._made:012d}"
        data = {
            "submission_id": submission_id,
            "signin_id": f"{self._rng.randrange(_SIGN_INS):022d}",
            "email": email,
            "code": "1234 5678",
            "submitted_at": _time(now_s - age_s),
        }
        mailbox = _mailbox_of(email)
        effect = ("submit", mailbox, submission_id)

        return Event(SUBMITTED_TOPIC, email.encode(), _json(data), self._headers(), "effect", effect, mailbox)

    def _bad(self, now_s: float) -> Event:
        topic = self._rng.choice((REQUESTED_TOPIC, SUBMITTED_TOPIC))
        mark = f"{self._made:08d}".encode()
        kind = self._rng.randrange(7)

        if kind == 0:
            return self._late(now_s)
        if kind == 1:
            refused = self._request(now_s, client={"user_agent": REFUSED})
            return replace(refused, fate="dead letter", effect=(), error="refused")

        if kind == 2:
            outspoken = self._request(now_s, requested_at=SECRETS[0].decode())
            return replace(outspoken, fate="dead letter", effect=(), error="schema")

        values = [b"{" + mark, _json({"mark": mark.decode()}), b"\xff\x00" + mark, mark + b"x" * 66_000]
        errors = ["not_json", "schema", "not_json", "too_large"]
        origin = (topic, _ELSEWHERE, self._made) if self._made % 3 == 0 else None
        headers = (*self._headers(), ("mark", mark), ("mark", None), *_put_back(origin or ("made up", 0, self._made)))
        return Event(topic, mark, values[kind - 3], headers, "dead letter", error=errors[kind - 3], origin=origin)

    def _late(self, now_s: float) -> Event:
        """Make up a submission that comes too late, by its own time or by that of a dead letter."""
        age_s = _LATE_S[self._made % len(_LATE_S)]
        if self._made % 2:
            return replace(self._submission(now_s, age_s), fate="late")

        first_ms = int((BEGINNING.timestamp() + now_s - age_s) * 1_000)
        fresh = self._submission(now_s)
        return replace(fresh, fate="late", headers=(*fresh.headers, (DltHeader.TIMESTAMP, b"%d" % first_ms)))

    def _headers(self) -> Headers:
        return (("ce_id", f"{self._made}".encode()),) if self._rng.random() < 0.5 else ()


def _put_back(origin: Origin) -> Headers:
    """Return the headers of a record that was put back after its second time as a dead letter.

    Whoever writes to the topic can also make them up: they count if they name that topic.
    """
    topic, partition, offset = origin
    return (
        (DltHeader.TOPIC, topic.encode()),
        (DltHeader.PARTITION, b"%d" % partition),
        (DltHeader.OFFSET, b"%d" % offset),
        (DltHeader.TIMESTAMP, b"1795780800000"),
        (DltHeader.FAILED_AT, b"2026-11-27T11:59:59Z"),
        (DltHeader.ATTEMPTS, b"2"),
    )


def _time(now_s: float) -> str:
    return (BEGINNING + timedelta(seconds=now_s)).isoformat()


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data).encode()
