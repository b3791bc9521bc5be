"""Connections that are kept for the next mail, against a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

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
    """Give a mailer that is closed in the end."""
    sending = mailer(mail_server)
    yield sending
    await sending.close()


def to(number: int) -> str:
    """Return one of many recipients."""
    return f"ada{number}@example.com"


async def test_a_connection_takes_fifty_mails(mail_server: MailServer, sending: SmtpMailer) -> None:
    """Then the server is told goodbye, and the next mail opens another."""
    for number in range(101):
        await sending.send(mail(to(number)))
    assert len(mail_server.mails) == 101
    assert mail_server.connections == 3
    await until(lambda: mail_server.open_connections == 1)


async def test_encryption_and_login_are_negotiated_once(mail_server: MailServer) -> None:
    """Every mail on the connection is as safe as the first."""
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
    """A slow recipient delays nobody: the others go meanwhile, on one connection of their own."""
    mail_server.script("slow@example.com", Reply(delay_s=1.5))
    slow = asyncio.create_task(sending.send(mail("slow@example.com")))
    await until(lambda: mail_server.mails)
    for number in range(5):
        await sending.send(mail(to(number)))

    assert not slow.done()

    await slow

    assert mail_server.connections == 2


async def test_a_connection_that_died_meanwhile_costs_no_try(mail_server: MailServer, sending: SmtpMailer) -> None:
    """It is noticed before anything of the mail was sent."""
    await sending.send(mail(to(1)))
    mail_server.hang_up()
    await sending.send(mail(to(2)))
    assert [one.recipients for one in mail_server.mails] == [(to(1),), (to(2),)]
    assert mail_server.connections == 2


@pytest.mark.parametrize("stage", ["recipient", "data"])
async def test_after_a_final_no_the_connection_is_good_for_others(
    mail_server: MailServer, sending: SmtpMailer, stage: Literal["recipient", "data"]
) -> None:
    """The refusal was about that mail."""
    mail_server.script("bad@example.com", Reply("550 never", stage=stage))
    with pytest.raises(MailRefused):
        await sending.send(mail("bad@example.com"))
    await sending.send(mail(to(1)))
    assert mail_server.connections == 1
    assert [one.recipients for one in mail_server.mails if one.accepted] == [(to(1),)]


@pytest.mark.parametrize("reply", [Reply("451 later"), Reply("421 closing"), Reply(hang_up=True), Reply(delay_s=3)])
async def test_after_any_other_end_a_connection_is_not_used_again(mail_server: MailServer, reply: Reply) -> None:
    """Above all where no answer came after DATA: a late one would be taken for that of the next mail."""
    sending = mailer(mail_server, timeout_s=2)
    mail_server.script("bad@example.com", reply)
    with pytest.raises(MailUnavailable):
        await sending.send(mail("bad@example.com"))
    await sending.send(mail(to(1)))
    await sending.close()
    assert mail_server.connections == 2


async def test_a_mail_that_is_given_up_takes_its_connection_along(mail_server: MailServer, sending: SmtpMailer) -> None:
    """The activity was cancelled in the middle of the conversation."""
    mail_server.script("slow@example.com", Reply(delay_s=5))
    task = asyncio.create_task(sending.send(mail("slow@example.com")))
    await until(lambda: mail_server.mails)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await sending.send(mail(to(1)))
    assert mail_server.connections == 2


async def test_idle_connections_are_few_and_do_not_stay(mail_server: MailServer) -> None:
    """After a burst eight are kept, and after a while none."""
    connections = ConnectionPool(client_of(mail_server), max_mails=50, idle_s=0.5)
    together = asyncio.Barrier(MAX_IDLE + 4)

    async def use() -> None:
        async with connections.acquire():
            await together.wait()

    await asyncio.gather(*(use() for _ in range(MAX_IDLE + 4)))
    await until(lambda: mail_server.open_connections == MAX_IDLE)
    await until(lambda: mail_server.open_connections == 0)

    assert mail_server.connections == MAX_IDLE + 4


async def test_the_end_says_goodbye_on_all(mail_server: MailServer) -> None:
    """A server that sees connections vanish may think ill of us."""
    connections = ConnectionPool(client_of(mail_server), max_mails=50)
    async with connections.acquire(), connections.acquire():
        assert mail_server.connections == 2
    await connections.close()
    await until(lambda: mail_server.open_connections == 0)


async def test_a_server_that_no_longer_answers_is_noticed_by_the_next_mail() -> None:
    """It took a mail and is frozen now: the mail fails in time, and the connection is gone."""
    async with silent_after_greeting() as port:
        connections = ConnectionPool(lambda: new_client("127.0.0.1", port), max_mails=50)
        async with connections.acquire():
            pass

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), connections.acquire():
                pytest.fail("a connection was lent that does not answer")

        await connections.close()


def client_of(server: MailServer) -> Callable[[], aiosmtplib.SMTP]:
    """Return what makes clients of the server."""
    return lambda: new_client(server.host, server.port)


def new_client(host: str, port: int) -> aiosmtplib.SMTP:
    """Return a client that is not connected yet."""
    return aiosmtplib.SMTP(hostname=host, port=port, start_tls=False, local_hostname="worker.example", timeout=5)


@asynccontextmanager
async def silent_after_greeting() -> AsyncIterator[int]:
    """Run a server that greets, and answers nothing else."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
