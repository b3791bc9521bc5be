"""Simulated people: what each one does, whatever happens around them, and the outcome they expect."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from deploy.local.servers.mail_server import MailServer
from tests.faults.ledger import Expectation
from tests.faults.upstream import Upstream, new_signin_id

PATIENCE_S: Final = 240.0
_SENT = "signin.code_sent"
_WRONG = "otp.rejected wrong_code"
_DONE = "signin.succeeded"
_EXPIRED: Final = "signin.expired"
_GUESSED: Final = tuple(f"{_WRONG} ({left} left)" for left in (4, 3, 2, 1, 0))
_GARBAGE: Final = (
    b'\xff{"signin_id"',
    b"",
    None,
    b"NaN",
    b"[" * 3_000,
    b'\xef\xbb\xbf{"a": 1}',
    b'{"signin_id": 7}',
)


class Person:
    """Somebody with an address and a mailbox of their own. ``patience_s`` limits each wait."""

    def __init__(self, upstream: Upstream, mail_server: MailServer, patience_s: float = PATIENCE_S) -> None:
        self.signin_id = new_signin_id()
        self.address = f"{self.signin_id[:16]}@ok.example"
        self.mails_before = 0
        self.patience_s = patience_s
        self.upstream = upstream
        self.topics = upstream.topics
        self._mail_server = mail_server

    def expects(self, *outcome: str, mails: int = 1) -> None:
        """State the expected outcome of the sign-in. Call this before its first event."""
        self.expects_one_of(outcome, mails=mails)

    def expects_one_of(self, *outcomes: tuple[str, ...], mails: int = 1) -> None:
        """State the possible outcomes of the sign-in."""
        self.upstream.ledger.expect(self.signin_id, Expectation(self.address, outcomes, mails))

    async def asks_for_code(self, *, attempt: int = 1, token: str | None = None, times: int = 1) -> None:
        """Request a code."""
        await self.upstream.request(self.signin_id, self.address, attempt=attempt, token=token, times=times)

    async def reads_mail(self, count: int = 1) -> str:
        """Wait until the ``count``-th mail was sent and has arrived; return its code."""
        await self.upstream.wait_for_results(self.signin_id, count, self.patience_s, _SENT)
        number = self.mails_before + count
        mail = await self._mail_server.mail_to(self.address, count=number, within_s=self.patience_s)
        return mail.code()

    async def submits(self, code: str, *, results: int, times: int = 1, submission_id: str = "") -> str:
        """Submit a code and wait until there are ``results`` results in all; return the submission's id."""
        submission_id = await self.upstream.submit(
            self.signin_id, self.address, code, times=times, submission_id=submission_id
        )
        await self.waits_for_results(results)
        return submission_id

    async def waits_for_results(self, results: int) -> None:
        """Wait until there are ``results`` results in all."""
        await self.upstream.wait_for_results(self.signin_id, results, self.patience_s)


Plan = Callable[[Person], Awaitable[None]]


def mistyped(code: str, by: int = 1) -> str:
    """Return a wrong code of the same length."""
    return code[:-1] + str((int(code[-1]) + by) % 10)


async def signs_in(person: Person) -> None:
    """Do everything right."""
    person.expects(_SENT, _DONE)
    await person.asks_for_code()
    await person.submits(await person.reads_mail(), results=2)


async def mistypes(person: Person) -> None:
    """Mistype the code once."""
    person.expects(_SENT, _GUESSED[0], _DONE)
    await person.asks_for_code()
    code = await person.reads_mail()
    await person.submits(mistyped(code), results=2)
    await person.submits(code, results=3)


async def guesses(person: Person) -> None:
    """Guess until the sign-in fails, then submit the right code, too late."""
    person.expects(_SENT, *_GUESSED, "signin.failed too_many_attempts")
    await person.asks_for_code()
    code = await person.reads_mail()
    for guess in range(1, 6):
        await person.submits(mistyped(code, guess), results=1 + guess)
    await person.submits(code, results=7)


async def asks_again(person: Person) -> None:
    """Request a second mail."""
    person.expects(_SENT, _SENT, _DONE, mails=2)
    await person.asks_for_code()
    code = await person.reads_mail()
    await asyncio.sleep(1.1)  # the cooldown
    await person.asks_for_code(attempt=2)
    assert await person.reads_mail(2) == code, "the second mail shows another code"
    await person.submits(code, results=3)


async def has_events_repeated(person: Person) -> None:
    """Sign in with every event produced three times, and once more after the end."""
    person.expects(_SENT, _DONE)
    await person.asks_for_code(times=3)
    code = await person.reads_mail()
    submission_id = await person.submits(code, results=2, times=3)
    await person.submits(code, results=2, submission_id=submission_id)
    await person.asks_for_code()


async def is_a_bot(person: Person) -> None:
    """Request a code without a valid token."""
    person.expects("signin.rejected challenge_failed", mails=0)
    await person.asks_for_code(token="made-up-by-a-bot")
    await person.waits_for_results(1)


async def mistypes_the_address(person: Person) -> None:
    """Request a code for an address whose domain does not exist."""
    person.address = f"{person.signin_id[:16]}@nxdomain.test"
    person.expects("signin.rejected undeliverable_email", mails=0)
    await person.asks_for_code()
    await person.waits_for_results(1)


async def sends_garbage(person: Person) -> None:
    """Produce garbage on both topics."""
    for topic in person.topics.inbound:
        value = random.choice(_GARBAGE)
        await person.upstream.poison(topic, value, (("trace", b"\x00\x01"), ("trace", b"twice")))


def waits(seconds: float) -> Plan:
    """Return a plan: wait this long before submitting the code, whether or not it expires meanwhile."""

    async def plan(person: Person) -> None:
        person.expects_one_of((_SENT, _DONE), (_SENT, _EXPIRED))
        await person.asks_for_code()
        code = await person.reads_mail()
        await asyncio.sleep(seconds)
        await person.submits(code, results=2)

    return plan


USUAL_PLANS: Final[tuple[Plan, ...]] = (
    signs_in,
    signs_in,
    signs_in,
    mistypes,
    mistypes,
    guesses,
    asks_again,
    has_events_repeated,
    has_events_repeated,
    is_a_bot,
    mistypes_the_address,
    sends_garbage,
)
