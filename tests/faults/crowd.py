"""Many people, one after the other and side by side, while something is done to the servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from tests.faults.people import EVERYBODY, Person, Plan
from tests.faults.wire import SignInIsOver


class Crowd:
    """People as they come, ``most`` at once: on a busy machine fewer. ``trouble``: what went wrong for whom."""

    def __init__(self, newcomer: Callable[[], Person], most: int = 60) -> None:
        self.most = most
        self.trouble: list[str] = []
        self.size = 0
        self._newcomer = newcomer
        self._lives: set[asyncio.Task[None]] = set()

    def send(self, plan: Plan, person: Person | None = None) -> "asyncio.Task[None]":
        """Let one person, a new one if none is given, live by a plan."""
        self.size += 1
        life = asyncio.create_task(self._live(plan, person or self._newcomer()))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        return life

    @contextlib.asynccontextmanager
    async def coming(self, every_s: float, plans: Sequence[Plan] = EVERYBODY) -> AsyncIterator[None]:
        """Send people, by one plan after the other, while the block runs."""
        sending = asyncio.create_task(self._keep_sending(every_s, plans))
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def gone(self) -> None:
        """Wait until everybody is through."""
        while self._lives:
            await asyncio.wait(set(self._lives))

    def send_away(self) -> None:
        """End all lives."""
        for life in self._lives:
            life.cancel()

    async def _keep_sending(self, every_s: float, plans: Sequence[Plan]) -> None:
        number = 0
        while True:
            if len(self._lives) < self.most:
                self.send(plans[number % len(plans)])
                number += 1
            await asyncio.sleep(every_s)

    async def _live(self, plan: Plan, person: Person) -> None:
        try:
            await plan(person)
        except SignInIsOver:
            pass  # the ledger knows whether it should be
        except (TimeoutError, AssertionError) as error:
            self.trouble.append(f"{person.signin_id} ({plan.__name__}): {error}")
