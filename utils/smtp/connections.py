"""A pool of connections to the mail server, each used for one mail at a time (docs/adr/0015)."""

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
"""Most servers wait longer for a command; under load, Postfix waits 10 s (``smtpd_timeout``)."""
MAX_IDLE: Final = 8

_RESET_S: Final = 2.0
_QUIT_S: Final = 1.0


@dataclass(eq=False)
class _Connection:
    client: aiosmtplib.SMTP
    mails: int = 0


class ConnectionPool:
    """Keeps connections for the next mail, for at most ``max_mails`` mails each.

    A connection is kept only if the mail server accepted the mail or refused it for good. After
    any other end (no answer, a temporary refusal, a timeout) it is unknown what the server would
    take the next command for, so the connection is closed.

    Before a connection is used again, the server must answer ``RSET``. One that died meanwhile is
    replaced before any part of the mail was sent. If a firewall dropped it silently, it has dropped
    the others too: they are not asked, because each answer that does not come takes time from
    the mail.
    """

    def __init__(
        self,
        new_client: Callable[[], aiosmtplib.SMTP],
        max_mails: int,
        idle_s: float = IDLE_S,
    ) -> None:
        self._new_client = new_client
        self._max_mails = max_mails
        self._idle_s = idle_s
        self._idle: dict[_Connection, asyncio.TimerHandle] = {}
        self._quitting: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """Give a connection for one mail. Raises ``MailUnavailable`` if none can be opened."""
        connection = await self._reuse() or await self._open()

        try:
            connection.mails += 1
            yield connection.client
        except MailRefused:
            self._release(connection)
            raise
        except BaseException:
            connection.client.close()
            raise

        self._release(connection)

    async def close(self) -> None:
        """Quit all idle connections."""
        for connection in list(self._idle):
            self._retire(connection)
        await asyncio.gather(*self._quitting)

    async def _reuse(self) -> _Connection | None:
        """Return the most recently used connection that still answers, if any."""
        while self._idle:
            connection, timer = self._idle.popitem()
            timer.cancel()
            try:
                if await _answers(connection.client):
                    return connection
            except TimeoutError:
                self._drop_idle()
        return None

    def _drop_idle(self) -> None:
        for connection, timer in self._idle.items():
            timer.cancel()
            connection.client.close()
        self._idle.clear()

    async def _open(self) -> _Connection:
        try:
            client = self._new_client()
        except (OSError, ValueError) as error:
            log_failure("the certificates of the mail server's authorities cannot be used", error)
            raise MailUnavailable from None

        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            log_failure("the mail server refused the connection", error)
            raise MailUnavailable from None
        except BaseException:
            client.close()
            raise

        return _Connection(client)

    def _release(self, connection: _Connection) -> None:
        if not connection.client.is_connected:
            return

        timer = asyncio.get_running_loop().call_later(self._idle_s, self._retire, connection)
        self._idle[connection] = timer

        if connection.mails >= self._max_mails or len(self._idle) > MAX_IDLE:
            self._retire(connection)

    def _retire(self, connection: _Connection) -> None:
        self._idle.pop(connection).cancel()
        task = asyncio.create_task(quit_politely(connection.client))
        self._quitting.add(task)
        task.add_done_callback(self._quitting.discard)


async def _answers(client: aiosmtplib.SMTP) -> bool:
    """Tell whether the server answers ``RSET``; close the connection if it does not.

    Raises ``TimeoutError`` if it says nothing at all.
    """
    try:
        await client.rset(timeout=_RESET_S)
    except TimeoutError:
        client.close()
        raise
    except (aiosmtplib.SMTPException, OSError):
        client.close()
        return False
    except BaseException:
        client.close()
        raise

    return True


async def quit_politely(client: aiosmtplib.SMTP) -> None:
    """Send ``QUIT`` and close. No mail is under way any more, so errors are ignored."""
    try:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await client.quit(timeout=_QUIT_S)
    finally:
        client.close()


def log_failure(text: str, error: Exception) -> None:
    """Log the class and the SMTP code of an error. The server's text may contain the address."""
    code = getattr(error, "code", None)
    logger.warning(text, extra={"error": type(error).__name__, "smtp_code": code})
