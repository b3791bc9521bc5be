"""A real SMTP server (aiosmtpd) that keeps what it receives and answers as scripted."""

import asyncio
import email
import email.policy
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final, Literal, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from deploy.local.arrivals import Arrivals
from deploy.local.servers.certificates import loopback_certificate
from deploy.local.places import LOOPBACK, new_run_folder

ACCEPTED: Final = "250 OK"
_KINDS: Final[tuple[Literal["plain", "html"], ...]] = ("plain", "html")
_CODE: Final = re.compile(r"(?<![\w#&;])\d(?:[ -]?\d){5,9}(?!\w)")


@dataclass(frozen=True)
class Reply:
    """What the server does for one mail: after ``delay_s`` it answers ``text``, or hangs up without an answer."""

    text: str = ACCEPTED
    stage: Literal["recipient", "data"] = "data"
    delay_s: float = 0
    hang_up: bool = False


@dataclass(frozen=True)
class ReceivedMail:
    """A mail whose data the server took in, also if it then refused it or hung up (``accepted`` is false then)."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    raw: bytes
    received_at: datetime
    accepted: bool
    encrypted: bool
    username: str | None

    def text(self, kind: Literal["plain", "html"] = "plain") -> str:
        """Return one of the two bodies; empty if it is missing."""
        body = self.message.get_body((kind,))
        return "" if body is None else str(body.get_content())

    def code(self) -> str:
        """Return the code that a person sees in the mail. Raises ``AssertionError`` unless both parts show one."""
        codes = {re.sub(r"\D", "", shown) for kind in _KINDS for shown in _CODE.findall(_visible(self.text(kind)))}
        assert len(codes) == 1, f"the two parts of the mail show {len(codes)} codes instead of one"
        return codes.pop()


class MailServer:
    """Listens on a free port between ``start`` and ``stop``.

    ``security`` is as in ``SIGNIN_SMTP__SECURITY``; with ``credentials`` nobody may send without logging in.
    """

    def __init__(
        self,
        *,
        security: Literal["none", "starttls", "tls"] = "none",
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self.host = LOOPBACK
        self.port = 0
        self.security = security
        self.credentials = credentials
        self.cafile: Path | None = None
        self._arrivals: Arrivals[ReceivedMail] = Arrivals()
        self._replies: dict[str, list[Reply]] = defaultdict(list)
        self._server: asyncio.Server | None = None
        self._sessions: list[SMTP] = []
        self._folder: Path | None = None

    @property
    def mails(self) -> list[ReceivedMail]:
        """All mails so far, oldest first."""
        return self._arrivals.items

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return len(self._sessions)

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return sum(session.transport is not None for session in self._sessions)

    def hang_up(self) -> None:
        """Cut all connections, as a restart does."""
        for session in self._sessions:
            _cut(session)

    def follow(self, follower: Callable[[ReceivedMail], None]) -> None:
        """Call ``follower`` with every mail from now on."""
        self._arrivals.follow(follower)

    def script(self, recipient: str, *replies: Reply) -> None:
        """Use these replies, one a mail, for the next mails to ``recipient``; after them all is accepted again."""
        self._replies[recipient].extend(replies)

    async def mail_to(self, recipient: str, *, count: int = 1, within_s: float = 10) -> ReceivedMail:
        """Return the ``count``-th accepted mail to ``recipient``; wait for it. Raises ``TimeoutError``."""

        def wanted(mail: ReceivedMail) -> bool:
            return mail.accepted and recipient in mail.recipients

        found = await self._arrivals.wanted(wanted, count, within_s, "mails accepted for one recipient")
        return found[count - 1]

    async def start(self) -> None:
        """Listen. Returns when the port is open."""
        context = None
        if self.security != "none":
            self._folder = new_run_folder("mail")
            context, self.cafile = loopback_certificate(self._folder)
        starttls = context if self.security == "starttls" else None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: self._session(starttls), self.host, 0, ssl=context if self.security == "tls" else None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port. May be called again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _session(self, starttls: Any) -> SMTP:
        session = SMTP(
            _Handler(self),
            hostname="mail.example",
            enable_SMTPUTF8=True,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=self._authenticate if self.credentials else None,
            auth_required=self.credentials is not None,
            auth_require_tls=self.security == "starttls",
            loop=asyncio.get_running_loop(),
        )
        self._sessions.append(session)
        return session

    def _authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: Any) -> Any:
        if not isinstance(data, LoginPassword) or self.credentials is None:
            return AuthResult(success=False, handled=False)
        offered = (data.login.decode(), data.password.decode())
        return AuthResult(success=offered == self.credentials, handled=False, auth_data=offered[0])

    def next_reply(self, recipients: Iterable[str], stage: str) -> Reply | None:
        """Take the scripted reply that is next for one of the recipients, if it is about this stage."""
        for recipient in recipients:
            waiting = self._replies[recipient]
            if waiting and waiting[0].stage == stage:
                return waiting.pop(0)
        return None

    async def take(self, session: Session, envelope: Envelope, *, accepted: bool) -> None:
        """Keep a mail."""
        raw = envelope.original_content or b""
        await self._arrivals.add(
            ReceivedMail(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                message=email.message_from_bytes(raw, policy=email.policy.default),
                raw=raw,
                received_at=datetime.now(UTC),
                accepted=accepted,
                encrypted=session.ssl is not None or self.security == "tls",
                username=session.auth_data if self.credentials else None,
            )
        )


class _Handler:
    """What aiosmtpd calls, by these names."""

    def __init__(self, server: MailServer) -> None:
        self._mails = server

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        reply = self._mails.next_reply([address], "recipient") or Reply()
        answer = await _given(server, reply)
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        reply = self._mails.next_reply(envelope.rcpt_tos, "data") or Reply()
        await self._mails.take(session, envelope, accepted=reply.text.startswith("2") and not reply.hang_up)
        return await _given(server, reply)


async def _given(server: SMTP, reply: Reply) -> str:
    if reply.delay_s:
        await asyncio.sleep(reply.delay_s)
    if reply.hang_up:
        _cut(server)
    return reply.text


def _cut(session: SMTP) -> None:
    if session.transport is not None:  # uvloop's transports are no asyncio.Transport, but do all the same
        cast(asyncio.WriteTransport, session.transport).abort()


def _visible(text: str) -> str:
    return re.sub(r"<(style|head)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
