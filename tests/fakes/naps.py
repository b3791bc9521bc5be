"""Sleep that takes no time."""

import asyncio


class FakeNaps:
    """Records each sleep in ``taken``. A sleep lasts until ``wake``, or no time at all if ``instant``."""

    def __init__(self, instant: bool = False) -> None:
        self.taken: list[float] = []
        self._instant = instant
        self._sleepers: list[asyncio.Event] = []

    @property
    def waiting(self) -> int:
        """How many tasks sleep now."""
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        self.taken.append(seconds)
        await asyncio.sleep(0)
        if self._instant:
            return

        sleeper = asyncio.Event()
        self._sleepers.append(sleeper)

        try:
            await sleeper.wait()
        finally:
            self._sleepers.remove(sleeper)

    def wake(self) -> None:
        """Wake all tasks that sleep."""
        for sleeper in self._sleepers:
            sleeper.set()
