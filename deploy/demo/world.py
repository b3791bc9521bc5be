"""What the virtual people can do: emit events, read their mail, look at results."""

import json
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from deploy.demo.journal import Journal
from deploy.demo.wire import Outcome, Wire
from deploy.local.servers.mail_server import MailServer, ReceivedMail
from deploy.local.servers.siteverify import passing_token

_POISON = b'\xff{"signin_id": nonsense'
_POISON_HEADERS = (("trace", b"\x00\x01"), ("trace", b"twice"))


class World:
    """The topics and the mail server, with a journal of all that happens."""

    def __init__(self, wire: Wire, mail_server: MailServer, journal: Journal, lifetime_s: int) -> None:
        self.wire = wire
        self.journal = journal
        self.lifetime_s = lifetime_s
        self._mail_server = mail_server

    @staticmethod
    def new_signin_id() -> str:
        """Draw an id: 128 bit, as the contract asks for."""
        return secrets.token_urlsafe(16)

    async def request(
        self, who: str, signin_id: str, address: str, *, attempt: int, token: str | None, times: int
    ) -> None:
        """Emit ``signin.requested``."""
        event = {
            "signin_id": signin_id,
            "attempt": attempt,
            "email": address,
            "requested_at": _now(),
            "turnstile_token": token or passing_token(signin_id),
            "client": {"ip": "203.0.113.7", "user_agent": "Mozilla/5.0 Firefox/140.0", "locale": "en-GB"},
        }
        again = f", attempt {attempt}" if attempt > 1 else ""
        await self._emit(who, self.wire.topics.requested, signin_id, event, times, f"signin.requested{again}")

    async def submit(self, who: str, signin_id: str, address: str, code: str, *, times: int = 1) -> None:
        """Emit ``otp.submitted``."""
        event = {
            "submission_id": str(uuid.uuid4()),
            "signin_id": signin_id,
            "email": address,
            "code": code,
            "submitted_at": _now(),
        }
        await self._emit(who, self.wire.topics.submitted, signin_id, event, times, "otp.submitted")

    async def mail(self, who: str, address: str, *, count: int, within_s: float) -> ReceivedMail:
        """Return the ``count``-th mail to an address; wait for it."""
        mail = await self._mail_server.mail_to(address, count=count, within_s=within_s)
        self.journal.last_mail = as_shown(mail)
        self.journal.note("mail", who, str(mail.message["Subject"]))
        return mail

    def mails_to(self, address: str) -> list[ReceivedMail]:
        """Return the mails that an address got so far."""
        return [mail for mail in self._mail_server.mails if address in mail.recipients]

    async def poison(self, who: str, key: str, *, within_s: float) -> None:
        """Send what is no JSON to both topics and make sure that it lies byte for byte on the dead-letter topics."""
        topics = (self.wire.topics.requested, self.wire.topics.submitted)
        for topic in topics:
            self.journal.note("in", who, f"bytes that are no JSON, on {topic}")
            await self.wire.emit(topic, _POISON, key, _POISON_HEADERS)
        dead = await self.wire.dead_letters.matching(
            lambda letter: letter.key == key.encode(), 2, within_s, "dead letters"
        )
        assert {letter.topic for letter in dead} == set(self.wire.topics.dead_letters), "a dead letter is missing"
        for letter in dead:
            self.journal.note("dead", who, f"{letter.topic}: {letter.header('dlt-error')}")
            assert letter.value == _POISON, "a dead letter is not byte for byte"
            assert letter.headers[: len(_POISON_HEADERS)] == _POISON_HEADERS, "a dead letter lost its headers"
            assert letter.header("dlt-error") == "not_json", "a dead letter has the wrong error"

    def overhear(self, names: dict[str, str], outcome: Outcome) -> None:
        """Note a result under the name of the person whose sign-in it is; others are not ours."""
        if outcome.signin_id in names:
            self.journal.note("out", names[outcome.signin_id], str(outcome))

    async def _emit(self, who: str, topic: str, key: str, event: dict[str, Any], times: int, what: str) -> None:
        self.journal.note("in", who, what + (f", {times} times" if times > 1 else ""))
        for _ in range(times):
            await self.wire.emit(topic, json.dumps(event).encode(), key)


def as_shown(mail: ReceivedMail) -> str:
    """Return a mail as a mail program shows it, without HTML."""
    return f"To: {', '.join(mail.recipients)}\nSubject: {mail.message['Subject']}\n\n{mail.text().strip()}"


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
