"""Many people, in sequence and in parallel, who sign in while a case breaks the servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from tests.faults.people import USUAL_PLANS, Person, Plan
from tests.faults.upstream import SignInEnded


class Crowd:
    """Runs people, at most ``max_at_once`` of those who arrive by themselves. ``problems``: what went wrong for whom.

    A slow machine therefore sees fewer people.
    """

    def __init__(self, new_person: Callable[[], Person], max_at_once: int = 60) -> None:
        self.max_at_once = max_at_once
        self.problems: list[str] = []
        self.size = 0
        self._new_person = new_person
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, plan: Plan, person: Person | None = None) -> "asyncio.Task[None]":
        """Start a person, by default a new one, who follows a plan."""
        self.size += 1
        task = asyncio.create_task(self._run(plan, person or self._new_person()))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @contextlib.asynccontextmanager
    async def arriving(self, every_s: float, plans: Sequence[Plan] = USUAL_PLANS) -> AsyncIterator[None]:
        """Start a person every ``every_s`` seconds while the block runs, taking turns through the plans."""
        arrivals = asyncio.create_task(self._keep_starting(every_s, plans))
        try:
            yield
        finally:
            arrivals.cancel()
            await asyncio.gather(arrivals, return_exceptions=True)

    async def wait_until_done(self) -> None:
        """Wait until everybody has finished their plan."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def cancel(self) -> None:
        """Cancel everybody who has not finished."""
        for task in self._tasks:
            task.cancel()

    async def _keep_starting(self, every_s: float, plans: Sequence[Plan]) -> None:
        number = 0
        while True:
            if len(self._tasks) < self.max_at_once:
                self.start(plans[number % len(plans)])
                number += 1
            await asyncio.sleep(every_s)

    async def _run(self, plan: Plan, person: Person) -> None:
        try:
            await plan(person)
        except SignInEnded:
            pass  # the audit knows whether it should have ended
        except (TimeoutError, AssertionError) as error:
            self.problems.append(f"{person.signin_id} ({plan.__name__}): {error}")
