"""What the virtual people can do: emit events, read their mail, look at results."""

import json
from typing import Any, Final

from deploy.demo.journal import Journal
from deploy.demo.upstream import Outcome, Upstream
from deploy.local.events import request_event, submission_event
from deploy.local.servers.mail_server import MailServer, ReceivedMail

_POISON: Final = b'\xff{"signin_id": nonsense'
_POISON_HEADERS: Final = (("trace", b"\x00\x01"), ("trace", b"twice"))


class World:
    """The topics and the mail server, with a journal of everything that happens."""

    def __init__(self, upstream: Upstream, mail_server: MailServer, journal: Journal, lifetime_s: int) -> None:
        self.upstream = upstream
        self.journal = journal
        self.lifetime_s = lifetime_s
        self._mail_server = mail_server

    async def request(
        self, who: str, signin_id: str, address: str, *, attempt: int, token: str | None, times: int
    ) -> None:
        """Emit ``signin.requested``, the same bytes ``times`` times."""
        event = request_event(signin_id, address, attempt=attempt, token=token)
        again = f", attempt {attempt}" if attempt > 1 else ""

        await self._emit(who, self.upstream.topics.requested, event, times, f"signin.requested{again}")

    async def submit(self, who: str, signin_id: str, address: str, code: str, *, times: int = 1) -> None:
        """Emit ``otp.submitted``, the same bytes ``times`` times."""
        event = submission_event(signin_id, address, code)

        await self._emit(who, self.upstream.topics.submitted, event, times, "otp.submitted")

    async def mail(self, who: str, address: str, *, count: int, within_s: float) -> ReceivedMail:
        """Wait for the ``count``-th mail to an address, and return it."""
        mail = await self._mail_server.mail_to(address, count=count, within_s=within_s)
        self.journal.last_mail = mail_text(mail)
        self.journal.note("mail", who, str(mail.message["Subject"]))
        return mail

    def mails_to(self, address: str) -> list[ReceivedMail]:
        """Return the mails to an address so far."""
        return [mail for mail in self._mail_server.mails if address in mail.recipients]

    async def poison(self, who: str, key: str, *, within_s: float) -> None:
        """Send bytes that are not JSON to both topics, and check that both dead-letter topics hold them unchanged."""
        for topic in self.upstream.topics.inbound:
            self.journal.note("in", who, f"bytes that are not JSON, on {topic}")
            await self.upstream.emit(topic, _POISON, key, _POISON_HEADERS)

        letters = await self.upstream.dead_letters.matching(
            lambda letter: letter.key == key.encode(), 2, within_s, "dead letters"
        )

        assert {letter.topic for letter in letters} == set(self.upstream.topics.dead_letters), (
            "a dead letter is missing"
        )
        for letter in letters:
            self.journal.note("dead", who, f"{letter.topic}: {letter.header('dlt-error')}")
            assert letter.value == _POISON, "the value of a dead letter was changed"
            assert letter.headers[: len(_POISON_HEADERS)] == _POISON_HEADERS, "a dead letter lost its headers"
            assert letter.header("dlt-error") == "not_json", "a dead letter has the wrong error"

    def note_result(self, names: dict[str, str], outcome: Outcome) -> None:
        """Note a result under the name of the person whose sign-in it is for; ignore the results of others."""
        if outcome.signin_id in names:
            self.journal.note("out", names[outcome.signin_id], str(outcome))

    async def _emit(self, who: str, topic: str, event: dict[str, Any], times: int, what: str) -> None:
        self.journal.note("in", who, what + (f", {times} times" if times > 1 else ""))
        value = json.dumps(event).encode()

        for _ in range(times):
            await self.upstream.emit(topic, value, event["signin_id"])


def mail_text(mail: ReceivedMail) -> str:
    """Return a mail as a mail program shows it, without HTML."""
    return f"To: {', '.join(mail.recipients)}\nSubject: {mail.message['Subject']}\n\n{mail.text().strip()}"
