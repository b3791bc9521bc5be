"""A real SMTP server (aiosmtpd) that keeps the mails it receives and gives replies that can be scripted."""

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
    """The reply to one mail, given after ``delay_s``: ``text``, or none if the server hangs up."""

    text: str = ACCEPTED
    stage: Literal["recipient", "data"] = "data"
    delay_s: float = 0
    hang_up: bool = False


@dataclass(frozen=True)
class ReceivedMail:
    """A mail whose data the server has received. If it then refused the mail or hung up, it is not ``accepted``."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    raw: bytes
    received_at: datetime
    accepted: bool
    encrypted: bool
    username: str | None

    def text(self, kind: Literal["plain", "html"] = "plain") -> str:
        """Return one of the two bodies, empty if it is missing."""
        body = self.message.get_body((kind,))
        return "" if body is None else str(body.get_content())

    def code(self) -> str:
        """Return the code that a person sees in the mail. Raises ``AssertionError`` unless both parts show one."""
        visible = [_visible(self.text(kind)) for kind in _KINDS]
        codes = {re.sub(r"\D", "", shown) for text in visible for shown in _CODE.findall(text)}

        assert len(codes) == 1, f"the two parts of the mail show {len(codes)} codes instead of one"
        return codes.pop()


class MailServer:
    """Listens on a free port between ``start`` and ``stop``.

    ``security`` is as in ``SIGNIN_SMTP__SECURITY``. With ``credentials``, clients must log
    in before they send.
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
        """How many connections were made so far."""
        return len(self._sessions)

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return sum(session.transport is not None for session in self._sessions)

    def hang_up(self) -> None:
        """Abort all connections, as a restart does."""
        for session in self._sessions:
            _abort(session)

    def follow(self, follower: Callable[[ReceivedMail], None]) -> None:
        """Call ``follower`` with every mail from now on."""
        self._arrivals.follow(follower)

    def script(self, recipient: str, *replies: Reply) -> None:
        """Give these replies to the next mails to ``recipient``, one for each mail, and then accept mails again."""
        self._replies[recipient].extend(replies)

    async def mail_to(self, recipient: str, *, count: int = 1, within_s: float = 10) -> ReceivedMail:
        """Wait for the ``count``-th accepted mail to ``recipient``, and return it. Raises ``TimeoutError``."""

        def is_accepted(mail: ReceivedMail) -> bool:
            return mail.accepted and recipient in mail.recipients

        found = await self._arrivals.matching(is_accepted, count, within_s, "mails accepted for one recipient")
        return found[count - 1]

    async def start(self) -> None:
        """Listen on a free port."""
        context = None
        if self.security != "none":
            self._folder = new_run_folder("mail")
            context, self.cafile = loopback_certificate(self._folder)

        starttls = context if self.security == "starttls" else None
        tls = context if self.security == "tls" else None
        loop = asyncio.get_running_loop()

        self._server = await loop.create_server(lambda: self._session(starttls), self.host, 0, ssl=tls)
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
        """Take the next scripted reply for one of the recipients, if there is one for this stage."""
        for recipient in recipients:
            waiting = self._replies[recipient]
            if waiting and waiting[0].stage == stage:
                return waiting.pop(0)
        return None

    async def keep(self, session: Session, envelope: Envelope, *, accepted: bool) -> None:
        """Keep a mail, and wake those who wait for it."""
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
    """The methods that aiosmtpd calls."""

    def __init__(self, server: MailServer) -> None:
        self._mail_server = server

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        reply = self._mail_server.next_reply([address], "recipient") or Reply()
        text = await _give(server, reply)
        if text.startswith("2"):
            envelope.rcpt_tos.append(address)
        return text

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        reply = self._mail_server.next_reply(envelope.rcpt_tos, "data") or Reply()
        accepted = reply.text.startswith("2") and not reply.hang_up

        await self._mail_server.keep(session, envelope, accepted=accepted)
        return await _give(server, reply)


async def _give(server: SMTP, reply: Reply) -> str:
    if reply.delay_s:
        await asyncio.sleep(reply.delay_s)
    if reply.hang_up:
        _abort(server)
    return reply.text


def _abort(session: SMTP) -> None:
    if session.transport is not None:  # uvloop's transports are not asyncio's, but work alike
        cast(asyncio.WriteTransport, session.transport).abort()


def _visible(text: str) -> str:
    return re.sub(r"<(style|head)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
