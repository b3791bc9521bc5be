"""How many people sign in at once, and how long they take to submit the code: the same for all ways."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from aiokafka.errors import KafkaError
from temporalio.service import RPCError

THINKING_S: Final = 1.0


class Seats:
    """Limits how many people are served at once. A person holds a seat while being served, not while thinking.

    People who return from thinking come before new ones. Otherwise they would all return together in the end.
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
            freed = asyncio.get_running_loop().create_future()
            queue = self._returning if returning else self._new
            queue.append(freed)
            await freed

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
class LoadResult:
    """How long one load took, in seconds: in total, and each person's waits."""

    elapsed_s: float = 0.0
    request_to_mail_s: list[float] = field(default_factory=list)
    submit_to_result_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    signins: int = 0
    last: str = ""
    """The sign-in that finished last."""

    def as_json(self) -> dict[str, Any]:
        """Return the result in the form in which it crosses a pipe."""
        return asdict(self)

    @property
    def per_s(self) -> float:
        """Complete sign-ins per second, from the first request to the last result.

        A shorter period would not be fair: those who came first return together, and a rate over part of the load
        depends on such waves.
        """
        return (self.signins - len(self.failures)) / self.elapsed_s


class Visit:
    """One person's part in a load: being served twice, with time to think in between."""

    def __init__(self, seats: Seats | None, result: LoadResult) -> None:
        self._seats = seats
        self._result = result

    async def request(self, call: Callable[[], Awaitable[float]]) -> None:
        """Request a mail. ``call`` returns how long the mail took."""
        self._result.request_to_mail_s.append(await self._serve(call, returning=False))

    async def submit(self, call: Callable[[], Awaitable[float]]) -> None:
        """Think, then submit a code. ``call`` returns how long the result took."""
        await asyncio.sleep(THINKING_S)
        self._result.submit_to_result_s.append(await self._serve(call, returning=True))

    def finish(self, name: str) -> None:
        """Record that this sign-in has finished."""
        self._result.last = name

    async def _serve(self, call: Callable[[], Awaitable[float]], *, returning: bool) -> float:
        if self._seats is None:
            return await call()
        async with self._seats.seat(returning=returning):
            return await call()


async def run_crowd(person: Callable[[Visit], Awaitable[None]], signins: int, seats: int) -> LoadResult:
    """Let ``signins`` people sign in as fast as possible, with at most ``seats`` being served at once."""
    result = LoadResult(signins=signins)
    shared = Seats(seats)
    begun = time.perf_counter()
    await asyncio.gather(*(_run(person, Visit(shared, result), result) for _ in range(signins)))
    result.elapsed_s = time.perf_counter() - begun
    return result


async def run_paced(person: Callable[[Visit], Awaitable[None]], signins: int, per_s: float) -> LoadResult:
    """Let ``signins`` people start at even intervals, whether or not those before them have finished."""
    result = LoadResult(signins=signins)
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as people:
        for number in range(signins):
            await asyncio.sleep(max(0.0, begun + number / per_s - time.perf_counter()))
            people.create_task(_run(person, Visit(None, result), result))

    result.elapsed_s = time.perf_counter() - begun

    return result


async def _run(person: Callable[[Visit], Awaitable[None]], visit: Visit, result: LoadResult) -> None:
    try:
        await person(visit)
    except (TimeoutError, KafkaError, RPCError) as error:
        result.failures.append(str(error) or "a result did not come in time")
