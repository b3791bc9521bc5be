"""Looks again and again whether Kafka has what this process needs, so that it can say so before anything fails."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from consumers.polling.racing import finishes_before, happens_within
from consumers.ports import KafkaMisconfigured, KafkaUnavailable
from utils.kafka.access import KafkaAccess
from utils.kafka.needs import KafkaNeeds, find_problems

logger = logging.getLogger(__name__)

_SOON_S: Final = 2.0
_LATER_S: Final = 15.0

Refusal = Callable[[], str | None]
"""What Kafka refuses right now, or None."""


class KafkaWatch:
    """Keeps what an operator must repair. While Kafka does not answer, what it answered last stands."""

    def __init__(
        self,
        access: KafkaAccess,
        needs: KafkaNeeds,
        soon_s: float = _SOON_S,
        later_s: float = _LATER_S,
    ) -> None:
        self.has_answered = False
        self._access = access
        self._needs = needs
        self._soon_s = soon_s
        self._later_s = later_s
        self._stopping = asyncio.Event()
        self._found: Sequence[str] = []
        self._refusals: list[Refusal] = []

    @property
    def problems(self) -> Sequence[str]:
        """A sentence for each thing that an operator must repair."""
        refused = (refusal() for refusal in self._refusals)
        return [f"Kafka: {problem}" for problem in (*self._found, *refused) if problem]

    def add(self, refusal: Refusal) -> None:
        """Count as a problem, too, what ``refusal`` returns."""
        self._refusals.append(refusal)

    async def run(self) -> None:
        """Look until ``stop``: soon again while there are problems, rarely while there are none."""
        while not self._stopping.is_set():
            looking = asyncio.ensure_future(self._look())
            try:
                if await finishes_before(looking, self._stopping):
                    looking.result()
            finally:
                looking.cancel()

            settled = self.has_answered and not self._found
            await happens_within(self._stopping, self._later_s if settled else self._soon_s)

    def stop(self) -> None:
        """Ask ``run`` to return."""
        self._stopping.set()

    async def _look(self) -> None:
        try:
            found = await find_problems(self._access, self._needs)
        except KafkaMisconfigured as error:
            found = [str(error)]
        except KafkaUnavailable:
            return
        else:
            self.has_answered = True

        if found and found != self._found:
            logger.error("Kafka lacks what the worker needs", extra={"problems": found})
        elif self._found and not found:
            logger.warning("Kafka has all that the worker needs again")
        self._found = found
