"""The connection pool, against a real mail server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import aiosmtplib
import pytest

from activities.errors import MailRefused, MailUnavailable
from deploy.local.servers.mail_server import MailServer, Reply
from tests.fakes.waiting import until
from tests.unit.utils.smtp.test_mailer import mail, mailer
from utils.smtp.mailer import SmtpMailer
from utils.smtp.connections import MAX_IDLE, ConnectionPool


@pytest.fixture
async def sending(mail_server: MailServer) -> AsyncIterator[SmtpMailer]:
    """Give a mailer that is closed at the end."""
    sending = mailer(mail_server)
    yield sending
    await sending.close()


def to(number: int) -> str:
    """Return the address of one of many recipients."""
    return f"ada{number}@example.com"


async def test_a_connection_is_used_for_fifty_mails(mail_server: MailServer, sending: SmtpMailer) -> None:
    """After that it is closed with ``QUIT``, and the next mail opens another."""
    for number in range(101):
        await sending.send(mail(to(number)))

    assert len(mail_server.mails) == 101
    assert mail_server.connections == 3
    await until(lambda: mail_server.open_connections == 1)


async def test_tls_and_login_are_negotiated_once(mail_server: MailServer) -> None:
    """Every mail on a connection is encrypted and authenticated like the first."""
    server = MailServer(security="starttls", credentials=("worker", "secret"))
    await server.start()
    sending = mailer(server, security="starttls", cafile=server.cafile, credentials=("worker", "secret"))

    for number in range(3):
        await sending.send(mail(to(number)))

    await sending.close()

    assert [(one.encrypted, one.username) for one in server.mails] == [(True, "worker")] * 3
    assert server.connections == 1

    await server.stop()


async def test_no_two_mails_share_a_connection_at_a_time(mail_server: MailServer, sending: SmtpMailer) -> None:
    """A slow recipient delays nobody: the other mails take a second connection meanwhile."""
    mail_server.script("slow@example.com", Reply(delay_s=1.5))
    slow = asyncio.create_task(sending.send(mail("slow@example.com")))
    await until(lambda: mail_server.mails)

    for number in range(5):
        await sending.send(mail(to(number)))

    assert not slow.done()

    await slow
    assert mail_server.connections == 2


async def test_a_dead_idle_connection_is_replaced(mail_server: MailServer, sending: SmtpMailer) -> None:
    """It is detected before any part of the mail is sent, so the mail is not lost."""
    await sending.send(mail(to(1)))
    mail_server.hang_up()
    await sending.send(mail(to(2)))

    assert [one.recipients for one in mail_server.mails] == [(to(1),), (to(2),)]
    assert mail_server.connections == 2


class SilentClient(aiosmtplib.SMTP):
    """A connection that works for one mail; then a firewall drops it, and nothing is answered any more."""

    asked = 0

    @property
    def is_connected(self) -> bool:
        """Tell that nobody has noticed."""
        return True

    async def connect(self, **_: object) -> aiosmtplib.SMTPResponse:
        """Connect at once."""
        return aiosmtplib.SMTPResponse(220, "hello")

    async def rset(self, *, timeout: Any = None) -> aiosmtplib.SMTPResponse:
        """Let the time run out, which takes none here."""
        SilentClient.asked += 1
        raise aiosmtplib.SMTPReadTimeoutError("silence")


async def test_connections_that_a_firewall_dropped_take_two_seconds_of_a_mail_in_all() -> None:
    """One that says nothing speaks for all: with each asked, four would take the 8 s that a mail has."""
    pool = ConnectionPool(SilentClient, max_mails=50)
    together = asyncio.Barrier(4)
    clients = []

    async def use() -> None:
        async with pool.acquire() as client:
            clients.append(client)
            await together.wait()

    await asyncio.gather(*(use() for _ in range(4)))
    async with pool.acquire() as client:
        assert client not in clients

    assert SilentClient.asked == 1


@pytest.mark.parametrize("stage", ["recipient", "data"])
async def test_a_connection_is_kept_after_a_final_refusal(
    mail_server: MailServer, sending: SmtpMailer, stage: Literal["recipient", "data"]
) -> None:
    """The refusal concerned only that mail."""
    mail_server.script("bad@example.com", Reply("550 never", stage=stage))

    with pytest.raises(MailRefused):
        await sending.send(mail("bad@example.com"))
    await sending.send(mail(to(1)))

    assert mail_server.connections == 1
    assert [one.recipients for one in mail_server.mails if one.accepted] == [(to(1),)]


@pytest.mark.parametrize("reply", [Reply("451 later"), Reply("421 closing"), Reply(hang_up=True), Reply(delay_s=3)])
async def test_a_connection_is_closed_after_any_other_failure(mail_server: MailServer, reply: Reply) -> None:
    """Otherwise a late answer to DATA would be taken for the answer to the next mail."""
    sending = mailer(mail_server, timeout_s=2)
    mail_server.script("bad@example.com", reply)

    with pytest.raises(MailUnavailable):
        await sending.send(mail("bad@example.com"))
    await sending.send(mail(to(1)))
    await sending.close()

    assert mail_server.connections == 2


async def test_a_cancelled_mail_closes_its_connection(mail_server: MailServer, sending: SmtpMailer) -> None:
    """An activity may be cancelled while the mail is being sent."""
    mail_server.script("slow@example.com", Reply(delay_s=5))
    task = asyncio.create_task(sending.send(mail("slow@example.com")))
    await until(lambda: mail_server.mails)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await sending.send(mail(to(1)))

    assert mail_server.connections == 2


async def test_idle_connections_are_limited_in_number_and_time(mail_server: MailServer) -> None:
    """Eight are kept after a burst, and none after the idle time."""
    pool = ConnectionPool(client_of(mail_server), max_mails=50, idle_s=0.5)
    together = asyncio.Barrier(MAX_IDLE + 4)

    async def use() -> None:
        async with pool.acquire():
            await together.wait()

    await asyncio.gather(*(use() for _ in range(MAX_IDLE + 4)))
    await until(lambda: mail_server.open_connections == MAX_IDLE)
    await until(lambda: mail_server.open_connections == 0)

    assert mail_server.connections == MAX_IDLE + 4


async def test_closing_the_pool_quits_every_connection(mail_server: MailServer) -> None:
    """Mail servers may penalise clients that disconnect without ``QUIT``."""
    pool = ConnectionPool(client_of(mail_server), max_mails=50)
    async with pool.acquire(), pool.acquire():
        assert mail_server.connections == 2

    await pool.close()
    await until(lambda: mail_server.open_connections == 0)


async def test_a_frozen_server_fails_the_next_mail_in_time() -> None:
    """A server that froze after a mail does not answer ``RSET``: the next mail fails, and the connection is closed."""
    async with silent_after_greeting() as port:
        pool = ConnectionPool(lambda: new_client("127.0.0.1", port), max_mails=50)
        async with pool.acquire():
            pass

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), pool.acquire():
                pytest.fail("the pool gave a connection that does not answer")

        await pool.close()


def client_of(server: MailServer) -> Callable[[], aiosmtplib.SMTP]:
    """Return a function that creates clients of the server."""
    return lambda: new_client(server.host, server.port)


def new_client(host: str, port: int) -> aiosmtplib.SMTP:
    """Return a client that is not connected yet."""
    return aiosmtplib.SMTP(hostname=host, port=port, start_tls=False, local_hostname="worker.example", timeout=5)


@asynccontextmanager
async def silent_after_greeting() -> AsyncIterator[int]:
    """Run a server that sends a greeting and nothing else."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
