"""Connections to a mail server that are kept for the next mail, each lent to one mail at a time (docs/adr/0015)."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiosmtplib

from activities.errors import MailRefused, MailUnavailable

logger = logging.getLogger(__name__)

IDLE_S: Final = 15.0
"""Shorter than servers wait for a command; those under pressure give 10 s (Postfix, ``smtpd_timeout``)."""
MOST_IDLE: Final = 8

_RESET_S: Final = 2.0
_QUIT_S: Final = 1.0


@dataclass(eq=False)
class _Connection:
    client: aiosmtplib.SMTP
    mails: int = 0


class SmtpConnections:
    """Lends connections. One is kept if the mail server said yes or a final no, and for ``most_mails`` at most.

    Before it is lent again the server has to answer ``RSET``: one that died meanwhile is replaced before anything of a
    mail was sent. After any other end (no answer, an answer for now, a time-out) nobody knows what the server would
    take the next command for, so that connection is closed.
    """

    def __init__(self, new: Callable[[], aiosmtplib.SMTP], most_mails: int, idle_s: float = IDLE_S) -> None:
        self._new = new
        self._most_mails = most_mails
        self._idle_s = idle_s
        self._idle: dict[_Connection, asyncio.TimerHandle] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """Lend a connection for one mail. Raises ``MailUnavailable`` if there is none to be had."""
        connection = await self._kept() or await self._opened()
        try:
            connection.mails += 1
            yield connection.client
        except MailRefused:
            self._put_back(connection)
            raise
        except BaseException:
            connection.client.close()
            raise
        self._put_back(connection)

    async def close(self) -> None:
        """Say goodbye on all that are idle."""
        for connection in list(self._idle):
            self._leave(connection)
        await asyncio.gather(*self._leaving)

    async def _kept(self) -> _Connection | None:
        """Return the one that was used last and still answers."""
        while self._idle:
            connection, timer = self._idle.popitem()
            timer.cancel()
            try:
                await connection.client.rset(timeout=_RESET_S)
            except (aiosmtplib.SMTPException, OSError):
                connection.client.close()
            except BaseException:
                connection.client.close()
                raise
            else:
                return connection
        return None

    async def _opened(self) -> _Connection:
        client = self._new()
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            log_answer("the mail server did not let us in", error)
            raise MailUnavailable from None
        except BaseException:
            client.close()
            raise
        return _Connection(client)

    def _put_back(self, connection: _Connection) -> None:
        if not connection.client.is_connected:
            return
        timer = asyncio.get_running_loop().call_later(self._idle_s, self._leave, connection)
        self._idle[connection] = timer
        if connection.mails >= self._most_mails or len(self._idle) > MOST_IDLE:
            self._leave(connection)

    def _leave(self, connection: _Connection) -> None:
        self._idle.pop(connection).cancel()
        task = asyncio.create_task(quit_politely(connection.client))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


async def quit_politely(client: aiosmtplib.SMTP) -> None:
    """Say goodbye and close. Nothing is on its way by now, so nothing that goes wrong here matters."""
    try:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await client.quit(timeout=_QUIT_S)
    finally:
        client.close()


def log_answer(text: str, error: Exception) -> None:
    """Log the class and the code; the server's words may hold the address."""
    code = getattr(error, "code", None)
    logger.warning(text, extra={"error": type(error).__name__, "smtp_code": code})
