"""How many people there are at once, and how long they think: the same for all ways."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from aiokafka.errors import KafkaError
from temporalio.service import RPCError

THINKING_S: Final = 1.0


class Stage:
    """Holds one of ``seats`` while somebody is served, not while they think: so a person types as slowly as people do.

    Somebody who thinks comes before somebody new, or there would be a crowd of those in the end.
    """

    def __init__(self, seats: int) -> None:
        self._free = seats
        self._returning: list[asyncio.Future[None]] = []
        self._new: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def seat(self, *, returning: bool) -> AsyncIterator[None]:
        """Wait for a seat and hold it."""
        if self._free:
            self._free -= 1
        else:
            free = asyncio.get_running_loop().create_future()
            (self._returning if returning else self._new).append(free)
            await free

        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        queue = self._returning or self._new
        if queue:
            queue.pop(0).set_result(None)
        else:
            self._free += 1


@dataclass
class Took:
    """What one load took, in seconds: as a whole, and each person's waits."""

    elapsed_s: float = 0.0
    request_to_mail_s: list[float] = field(default_factory=list)
    submit_to_result_s: list[float] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    signins: int = 0
    last: str = ""
    """who came through last"""

    def as_json(self) -> dict[str, Any]:
        """Return it as it crosses a pipe."""
        return asdict(self)

    @property
    def per_s(self) -> float:
        """Complete sign-ins a second, from the first request to the last result.

        No shorter time is fair: those who came first return together, and a rate while people both come and go tells of
        such waves.
        """
        return (self.signins - len(self.trouble)) / self.elapsed_s


class Visit:
    """One person's way through a load: two turns on the stage, with time to think in between."""

    def __init__(self, stage: Stage | None, took: Took) -> None:
        self._stage = stage
        self._took = took

    async def asks(self, being_served: Callable[[], Awaitable[float]]) -> None:
        """Be served with a mail; ``being_served`` returns how long the mail took."""
        self._took.request_to_mail_s.append(await self._served(being_served, returning=False))

    async def submits(self, being_served: Callable[[], Awaitable[float]]) -> None:
        """Think, then be served with a result."""
        await asyncio.sleep(THINKING_S)
        self._took.submit_to_result_s.append(await self._served(being_served, returning=True))

    def is_through(self, name: str) -> None:
        """Leave."""
        self._took.last = name

    async def _served(self, being_served: Callable[[], Awaitable[float]], *, returning: bool) -> float:
        if self._stage is None:
            return await being_served()
        async with self._stage.seat(returning=returning):
            return await being_served()


async def crowded(person: Callable[[Visit], Awaitable[None]], signins: int, seats: int) -> Took:
    """Let so many people through, as fast as ``seats`` at once can be served."""
    took = Took(signins=signins)
    stage = Stage(seats)
    begun = time.perf_counter()
    await asyncio.gather(*(_carefully(person, Visit(stage, took), took) for _ in range(signins)))
    took.elapsed_s = time.perf_counter() - begun
    return took


async def spaced(person: Callable[[Visit], Awaitable[None]], signins: int, per_s: float) -> Took:
    """Let so many people begin, evenly spaced, whether or not those before them are through."""
    took = Took(signins=signins)
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as people:
        for number in range(signins):
            await asyncio.sleep(max(0.0, begun + number / per_s - time.perf_counter()))
            people.create_task(_carefully(person, Visit(None, took), took))

    took.elapsed_s = time.perf_counter() - begun

    return took


async def _carefully(person: Callable[[Visit], Awaitable[None]], visit: Visit, took: Took) -> None:
    try:
        await person(visit)
    except (TimeoutError, KafkaError, RPCError) as error:
        took.trouble.append(str(error) or "a result did not come in time")
