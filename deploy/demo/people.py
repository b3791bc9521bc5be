"""The virtual people: what each does, and which results each should get."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from deploy.demo.world import World
from deploy.local.events import new_signin_id

State = Literal["waiting", "signing in", "done", "right", "wrong"]
_PATIENCE_S: Final = 20


@dataclass
class Person:
    """A person with an address and a plan. ``expected`` are all results of the sign-in, in order."""

    name: str
    about: str
    address: str
    expected: tuple[str, ...]
    mails_expected: int
    plan: Callable[["Person", World], Awaitable[None]]
    signin_id: str = field(default_factory=new_signin_id)
    state: State = "waiting"
    results: tuple[str, ...] = ()
    mails: int = 0
    problems: list[str] = field(default_factory=list)
    request_to_mail_s: list[float] = field(default_factory=list)
    submit_to_result_s: list[float] = field(default_factory=list)

    async def follow_plan(self, world: World) -> None:
        """Carry out the plan. Whatever goes wrong is added to ``problems``."""
        self.state = "signing in"
        try:
            await self.plan(self, world)
        except (TimeoutError, AssertionError) as error:
            self.problems.append(str(error))

        self.state = "wrong" if self.problems else "done"

    def check(self, world: World) -> None:
        """Compare results and mails with the expected ones. To be called once the worker is idle."""
        self.results = tuple(map(str, world.upstream.results_of(self.signin_id)))
        if self.results != self.expected:
            self.problems.append(f"expected {_listed(self.expected)}; got {_listed(self.results)}")

        self.mails = len(world.mails_to(self.address))
        if self.mails != self.mails_expected:
            self.problems.append(f"expected {self.mails_expected} mails; got {self.mails}")

        self.state = "wrong" if self.problems else "right"

    async def request(self, world: World, *, attempt: int = 1, token: str | None = None, times: int = 1) -> None:
        """Emit ``signin.requested``, the same event ``times`` times."""
        await world.request(self.name, self.signin_id, self.address, attempt=attempt, token=token, times=times)

    async def request_and_read_mail(self, world: World, *, attempt: int = 1, times: int = 1) -> str:
        """Request, wait for the mail and for ``signin.code_sent``, and return the code in the mail."""
        start_s = time.monotonic()
        requested_at = datetime.now(UTC)

        await self.request(world, attempt=attempt, times=times)
        mail = await world.mail(self.name, self.address, count=attempt, within_s=_PATIENCE_S)

        latency_s = (mail.received_at - requested_at).total_seconds()
        assert 0 <= latency_s <= time.monotonic() - start_s + 1, "the clock of this machine jumped"
        self.request_to_mail_s.append(latency_s)
        world.journal.request_to_mail_s.append(latency_s)

        await self.wait_for_results(world, attempt)
        return mail.code()

    async def submit(self, world: World, code: str, *, results: int, times: int = 1) -> None:
        """Emit ``otp.submitted`` ``times`` times, and wait until there are ``results`` results in all."""
        start_s = time.monotonic()

        await world.submit(self.name, self.signin_id, self.address, code, times=times)
        await self.wait_for_results(world, results)

        latency_s = time.monotonic() - start_s
        self.submit_to_result_s.append(latency_s)
        world.journal.submit_to_result_s.append(latency_s)

    async def wait_for_results(self, world: World, count: int, within_s: float = _PATIENCE_S) -> None:
        """Wait until there are ``count`` results in all."""
        await world.upstream.wait_for_results(self.signin_id, count, within_s)


def _mistyped(code: str, by: int = 1) -> str:
    return code[:-1] + str((int(code[-1]) + by) % 10)


def _listed(results: tuple[str, ...]) -> str:
    return ", ".join(results) or "nothing"


async def _sign_in(person: Person, world: World) -> None:
    code = await person.request_and_read_mail(world)
    await person.submit(world, code, results=2)


async def _mistype(person: Person, world: World) -> None:
    code = await person.request_and_read_mail(world)
    await person.submit(world, _mistyped(code), results=2)
    await person.submit(world, f"{code[:4]} {code[4:]}", results=3)  # pasted with a blank, which is accepted


async def _guess(person: Person, world: World) -> None:
    code = await person.request_and_read_mail(world)

    for guess in range(1, 6):
        await person.submit(world, _mistyped(code, guess), results=1 + guess)
    await person.wait_for_results(world, 7)

    await world.submit(person.name, person.signin_id, person.address, code)  # the right code, but too late


async def _wait_too_long(person: Person, world: World) -> None:
    code = await person.request_and_read_mail(world)
    await person.wait_for_results(world, 2, within_s=world.lifetime_s + _PATIENCE_S)

    await world.submit(person.name, person.signin_id, person.address, code)  # after the end: no result


async def _request_as_bot(person: Person, world: World) -> None:
    await person.request(world, token="made-up-by-a-bot")
    await person.wait_for_results(world, 1)


async def _request_only(person: Person, world: World) -> None:
    await person.request(world)
    await person.wait_for_results(world, 1)


async def _request_again(person: Person, world: World) -> None:
    code = await person.request_and_read_mail(world)

    (sent,) = await world.upstream.wait_for_results(person.signin_id, 1, _PATIENCE_S)
    resend_after = datetime.fromisoformat(sent.value["resend_after"])
    wait_s = (resend_after - datetime.now(UTC)).total_seconds()
    await asyncio.sleep(max(0.0, wait_s) + 0.1)

    second_code = await person.request_and_read_mail(world, attempt=2)
    assert second_code == code, "the second mail holds another code"
    first, second = world.mails_to(person.address)
    assert first.message["Message-ID"] != second.message["Message-ID"], "both mails have the same Message-ID"

    await person.submit(world, second_code, results=3)


async def _send_three_times(person: Person, world: World) -> None:
    code = await person.request_and_read_mail(world, times=3)
    await person.submit(world, code, results=2, times=3)


async def _send_poison(person: Person, world: World) -> None:
    await world.poison(person.name, person.signin_id, within_s=_PATIENCE_S)


def everybody() -> list[Person]:
    """Return all people, in the order of the table."""
    sent = "code_sent"
    done = "succeeded"
    wrong = "otp.rejected wrong_code"
    no_challenge = ("rejected challenge_failed",)
    no_domain = ("rejected undeliverable_email",)
    no_address = ("rejected invalid_email",)
    guessed = tuple(f"{wrong} ({left} left)" for left in (4, 3, 2, 1, 0))
    ended = (sent, *guessed, "failed too_many_attempts")

    return [
        Person("Ada", "does everything right", "ada@ok.example", (sent, done), 1, _sign_in),
        Person("Grace", "mistypes the code once", "grace@ok.example", (sent, f"{wrong} (4 left)", done), 1, _mistype),
        Person("Linus", "waits too long", "linus@ok.example", (sent, "expired"), 1, _wait_too_long),
        Person("Bot", "has no valid Turnstile token", "bot@ok.example", no_challenge, 0, _request_as_bot),
        Person("Edsger", "has a domain that does not exist", "edsger@nxdomain.test", no_domain, 0, _request_only),
        Person("Alan", "forgets half of the address", "alan@", no_address, 0, _request_only),
        Person("Barbara", "requests a second mail", "barbara@ok.example", (sent, sent, done), 2, _request_again),
        Person("Donald", "sends every event three times", "donald@ok.example", (sent, done), 1, _send_three_times),
        Person("Mallory", "guesses until no tries are left", "mallory@ok.example", ended, 1, _guess),
        Person("Gremlin", "sends two poison records: dead letters", "gremlin@ok.example", (), 0, _send_poison),
    ]
