"""The virtual people: what each does, and what must come of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from deploy.demo.world import World

State = Literal["waiting", "signing in", "done", "right", "wrong"]
_PATIENCE_S: Final = 20


@dataclass
class Person:
    """Somebody with an address and a plan. ``expected`` are all results of the sign-in, in order."""

    name: str
    about: str
    address: str
    expected: tuple[str, ...]
    mails_expected: int
    plan: Callable[["Person", World], Awaitable[None]]
    signin_id: str = field(default_factory=World.new_signin_id)
    state: State = "waiting"
    results: tuple[str, ...] = ()
    mails: int = 0
    trouble: list[str] = field(default_factory=list)
    request_to_mail_s: list[float] = field(default_factory=list)
    submit_to_result_s: list[float] = field(default_factory=list)

    async def live(self, world: World) -> None:
        """Carry out the plan; whatever goes wrong is kept in ``trouble``."""
        self.state = "signing in"
        try:
            await self.plan(self, world)
        except (TimeoutError, AssertionError) as error:
            self.trouble.append(str(error))
        self.state = "wrong" if self.trouble else "done"

    def judge(self, world: World) -> None:
        """Compare what came with what was expected; to be asked when all is quiet."""
        self.results = tuple(map(str, world.wire.seen(self.signin_id)))
        if self.results != self.expected:
            self.trouble.append(f"expected {_listed(self.expected)}; got {_listed(self.results)}")
        self.mails = len(world.mails_to(self.address))
        if self.mails != self.mails_expected:
            self.trouble.append(f"expected {self.mails_expected} mails; got {self.mails}")
        self.state = "wrong" if self.trouble else "right"

    async def asks(self, world: World, *, attempt: int = 1, token: str | None = None, times: int = 1) -> None:
        """Emit ``signin.requested``, the same event ``times`` times over."""
        await world.request(self.name, self.signin_id, self.address, attempt=attempt, token=token, times=times)

    async def asks_and_gets_mail(self, world: World, *, attempt: int = 1, times: int = 1) -> str:
        """Ask, wait for the mail and for word that it was sent; return the code in the mail."""
        begun, before = time.monotonic(), datetime.now(UTC)
        await self.asks(world, attempt=attempt, times=times)
        mail = await world.mail(self.name, self.address, count=attempt, within_s=_PATIENCE_S)
        took_s = (mail.received_at - before).total_seconds()
        assert 0 <= took_s <= time.monotonic() - begun + 1, "the clock of this machine jumped"
        self.request_to_mail_s.append(took_s)
        world.journal.request_to_mail_s.append(took_s)
        await self.hears(world, attempt)
        return mail.code()

    async def submits(self, world: World, code: str, *, results: int, times: int = 1) -> None:
        """Emit ``otp.submitted`` (``times`` times over) and wait until there are ``results`` results in all."""
        begun = time.monotonic()
        await world.submit(self.name, self.signin_id, self.address, code, times=times)
        await self.hears(world, results)
        self.submit_to_result_s.append(time.monotonic() - begun)
        world.journal.submit_to_result_s.append(time.monotonic() - begun)

    async def hears(self, world: World, results: int, within_s: float = _PATIENCE_S) -> None:
        """Wait until there are ``results`` results in all."""
        await world.wire.outcomes(self.signin_id, results, within_s)


def _mistyped(code: str, by: int = 1) -> str:
    return code[:-1] + str((int(code[-1]) + by) % 10)


def _listed(results: tuple[str, ...]) -> str:
    return ", ".join(results) or "nothing"


async def _signs_in(person: Person, world: World) -> None:
    code = await person.asks_and_gets_mail(world)
    await person.submits(world, code, results=2)


async def _mistypes(person: Person, world: World) -> None:
    code = await person.asks_and_gets_mail(world)
    await person.submits(world, _mistyped(code), results=2)
    await person.submits(world, f"{code[:4]} {code[4:]}", results=3)  # pasted with a blank: that is fine


async def _guesses(person: Person, world: World) -> None:
    code = await person.asks_and_gets_mail(world)
    for guess in range(1, 6):
        await person.submits(world, _mistyped(code, guess), results=1 + guess)
    await person.hears(world, 7)
    await world.submit(person.name, person.signin_id, person.address, code)  # right, and too late


async def _waits_too_long(person: Person, world: World) -> None:
    code = await person.asks_and_gets_mail(world)
    await person.hears(world, 2, within_s=world.lifetime_s + _PATIENCE_S)
    await world.submit(person.name, person.signin_id, person.address, code)  # after the end: no result


async def _is_a_bot(person: Person, world: World) -> None:
    await person.asks(world, token="made-up-by-a-bot")
    await person.hears(world, 1)


async def _mistypes_the_address(person: Person, world: World) -> None:
    await person.asks(world)
    await person.hears(world, 1)


async def _asks_again(person: Person, world: World) -> None:
    code = await person.asks_and_gets_mail(world)
    (sent,) = await world.wire.outcomes(person.signin_id, 1, _PATIENCE_S)
    wait_s = (datetime.fromisoformat(sent.value["resend_after"]) - datetime.now(UTC)).total_seconds()
    await asyncio.sleep(max(0.0, wait_s) + 0.1)
    again = await person.asks_and_gets_mail(world, attempt=2)
    assert again == code, "the second mail holds another code"
    first, second = world.mails_to(person.address)
    assert first.message["Message-ID"] != second.message["Message-ID"], "both mails have the same Message-ID"
    await person.submits(world, again, results=3)


async def _is_stuttered(person: Person, world: World) -> None:
    code = await person.asks_and_gets_mail(world, times=3)
    await person.submits(world, code, results=2, times=3)


async def _is_garbled(person: Person, world: World) -> None:
    await world.poison(person.name, person.signin_id, within_s=_PATIENCE_S)


def cast() -> list[Person]:
    """Return everybody, in the order of the table."""
    sent, done, wrong = "code_sent", "succeeded", "otp.rejected wrong_code"
    guessed = tuple(f"{wrong} ({left} left)" for left in (4, 3, 2, 1, 0))
    return [
        Person("Ada", "does everything right", "ada@ok.example", (sent, done), 1, _signs_in),
        Person("Grace", "mistypes the code once", "grace@ok.example", (sent, f"{wrong} (4 left)", done), 1, _mistypes),
        Person("Linus", "waits too long", "linus@ok.example", (sent, "expired"), 1, _waits_too_long),
        Person("Bot", "has no valid Turnstile token", "bot@ok.example", ("rejected challenge_failed",), 0, _is_a_bot),
        Person(
            "Edsger",
            "has a domain that does not exist",
            "edsger@nxdomain.test",
            ("rejected undeliverable_email",),
            0,
            _mistypes_the_address,
        ),
        Person("Alan", "forgets half the address", "alan@", ("rejected invalid_email",), 0, _mistypes_the_address),
        Person("Barbara", "asks for the mail again", "barbara@ok.example", (sent, sent, done), 2, _asks_again),
        Person("Donald", "has every event sent thrice", "donald@ok.example", (sent, done), 1, _is_stuttered),
        Person(
            "Mallory",
            "guesses until it is over",
            "mallory@ok.example",
            (sent, *guessed, "failed too_many_attempts"),
            1,
            _guesses,
        ),
        Person("Gremlin", "sends two poison records: dead letters", "gremlin@ok.example", (), 0, _is_garbled),
    ]
