"""The number of workers changes under load: from one to three and back, one at a time."""

import asyncio
import time
from typing import Final

from tests.faults.case import Case
from tests.faults.evidence import starts
from tests.faults.ledger import Request
from tests.faults.pauses import Read, phases
from tests.faults.stage import Stage
from tests.faults.upstream import Emission

_ALONE: Final = "one worker"
_STEPS: Final = ("a second joins", "a third joins", "one leaves", "another leaves")
_FASTER: Final = 4


async def scale_out_and_in(stage: Stage) -> str:
    """Start two workers beside the first, then let them end, while people sign in; tell how long requests waited."""
    produced: dict[tuple[str, int], float] = {}

    def note(emission: Emission) -> None:
        if isinstance(emission.event, Request) and emission.event.fate == "applied":
            key = (emission.event.signin_id, emission.event.attempt)
            produced.setdefault(key, emission.timestamp / 1_000)

    await stage.start_worker()
    stage.upstream.follow(note)
    begins = {_ALONE: time.time()}

    async with stage.crowd.arriving(stage.scale.every_s / _FASTER):
        await asyncio.sleep(stage.scale.pause_s)
        for step in _STEPS[:2]:
            begins[step] = time.time()
            await stage.start_worker()
            await asyncio.sleep(stage.scale.pause_s)

        for step, worker in zip(_STEPS[2:], stage.workers[:0:-1], strict=True):
            begins[step] = time.time()
            ended = await stage.terminate(worker)
            assert ended.startswith("exit 0 "), worker.process.last_output()
            await asyncio.sleep(stage.scale.pause_s)

    await stage.crowd.wait_until_done()
    await stage.wait_until_recovered()

    started = await starts(stage.temporal, stage.topics)
    reads = [Read(at, min(started[key])) for key, at in produced.items() if key in started]
    found = phases(reads, begins)
    assert len(found) == len(begins), f"no requests in some of the phases: {found}"

    return f"the longest wait to be read, and the most that waited: {'; '.join(map(str, found))}"


CASES = (
    Case(
        "scale-out-and-in",
        "from one worker to three and back, one at a time, while people sign in",
        scale_out_and_in,
    ),
)
