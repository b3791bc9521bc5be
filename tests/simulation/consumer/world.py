"""One simulation from a seed: a cluster, a model of Temporal, emitters, workers, and what befalls them."""

import asyncio
import gc
import logging
import random
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

from consumers.handling.dead_lettering import DeadLetterLimits
from consumers.polling.limits import ConsumerLimits
from schemas.topics import dead_letter_topic
from tests.simulation.consumer.broker import serve
from tests.simulation.consumer.clocks import simulated_clocks
from tests.simulation.consumer.cluster import PORT, Cluster, Node, Observers
from tests.simulation.consumer.emitter import Emitter
from tests.simulation.consumer.event_loop import Deadlock, SimulatedLoop
from tests.simulation.consumer.network import Network
from tests.simulation.consumer.oracle import Oracle
from tests.simulation.halves import Result
from tests.simulation.silence import silence
from tests.simulation.story import Story
from tests.simulation.consumer.temporal_model import TemporalModel
from tests.simulation.consumer.worker import INBOUND, Surroundings, Worker

_SETTLE_S: Final = 150.0
_STOP_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.5
_SMALL_LETTERS_SHARE: Final = 0.2
_SMALL_LETTER_BYTES: Final = 20_000
_POLLS_MS: Final = (200, 1_000, 1_000)
"""What is read does not wait for the end of a poll. Mostly long ones, so that idle workers cost less time."""


class World:
    """Everything that one simulation consists of. ``rng``: what a move draws from."""

    def __init__(
        self, loop: SimulatedLoop, rng: random.Random, story: Story, skipped: Collection[int] = frozenset()
    ) -> None:
        self.loop = loop
        self.rng = rng
        self.story = story
        self.network = Network(loop, child(rng), story)
        self.temporal = TemporalModel(loop, child(rng), story)
        self.oracle = Oracle(self.temporal, story)
        self.cluster = self._new_cluster()
        self.emitter = Emitter(self.cluster, self.oracle, child(rng))
        self.workers: list[Worker] = []
        self.moves = 0
        self._skipped = skipped
        self.letter_limits = DeadLetterLimits()
        self.limits = ConsumerLimits(
            max_records=rng.choice((2, 8, 512)),
            max_read_ahead=rng.choice((6, 64, 4_096)),
            poll_ms=rng.choice(_POLLS_MS),
        )
        self._hired = 0
        self._is_over = False
        self._timers: list[asyncio.TimerHandle] = []

    def hire(self) -> Worker:
        """Start another worker."""
        self._hired += 1
        servers = ",".join(f"{node.name}:{PORT}" for node in self.cluster.nodes.values())
        surroundings = Surroundings(
            self.loop,
            self.network,
            self.story,
            self.temporal,
            self.oracle,
            servers,
            self.limits,
            self.letter_limits,
        )
        worker = Worker(f"w{self._hired}", surroundings)
        self.workers.append(worker)

        return worker

    def move(self, action: Callable[["World"], None], seed: int) -> None:
        """Let something happen, unless this move is to be skipped. What it draws depends on no other move."""
        self.moves += 1
        if self.moves not in self._skipped:
            self.rng.seed(seed)
            action(self)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something later, unless ``cancel_later`` comes first."""
        self._timers.append(self.loop.call_later(seconds, action))

    def cancel_later(self) -> None:
        """Do nothing of what was to be done later."""
        for timer in self._timers:
            timer.cancel()

    @property
    def running(self) -> list[Worker]:
        """The workers that have not ended."""
        return [worker for worker in self.workers if not worker.is_over]

    @property
    def is_settled(self) -> bool:
        """Whether everything that can be read is done and committed."""
        return self.oracle.is_settled(self.cluster.group.offsets)

    async def until_settled(self, limit_s: float) -> None:
        """Wait until everything that can be read is done and committed."""
        await self.until(lambda: self.is_settled, limit_s)

    async def settle(self) -> None:
        """Give the workers the time they need, stop them, and judge what is left, unless enough was seen before."""
        await self.until_settled(_SETTLE_S)
        if self.oracle.violations:
            return

        self._is_over = True
        for worker in self.running:
            worker.stop()
        await self.until(lambda: not self.running, _STOP_S)

        for worker in self.running:
            self.oracle.accuse(f"{worker.name} did not end when it was asked to")
        self.oracle.judge_end(self.cluster.group.offsets)

    async def until(self, is_met: Callable[[], bool], limit_s: float) -> None:
        """Wait until something is so, or was violated."""
        deadline = self.loop.time() + limit_s
        while not is_met() and not self.oracle.violations and self.loop.time() < deadline:
            await asyncio.sleep(_LOOK_EVERY_S)
            if not self.running and not self._is_over:
                self.hire()  # a supervisor starts a worker that has ended by itself

    def _new_cluster(self) -> Cluster:
        partitions = self.rng.randint(1, 3)
        topics = {topic: partitions for topic in INBOUND} | {dead_letter_topic(topic): 1 for topic in INBOUND}
        nodes = {number: Node(number) for number in range(1, self.rng.randint(1, 3) + 1)}
        observers = Observers(self.oracle.on_commit, self.oracle.on_write, self.oracle.accuse)
        cluster = Cluster(self.loop, child(self.rng), self.story, self.network, observers, nodes, topics)
        if self.rng.random() < _SMALL_LETTERS_SHARE:
            cluster.max_batch_bytes = _SMALL_LETTER_BYTES
            self.oracle.max_letter_bytes = _SMALL_LETTER_BYTES

        for topic in INBOUND:
            for log in cluster.logs_of(topic):
                self.oracle.watch(log)
        serve(cluster)

        return cluster


Plot = Callable[[World], Any]
"""What happens in a world: a coroutine function."""


def simulate(seed: int, plot: Plot, told: bool = False, skipped: Collection[int] = frozenset()) -> Result:
    """Let ``plot`` happen in a new world, without some of its moves. The same seed gives the same story."""
    gc.freeze()
    with _without_complaints():
        result = _simulate(seed, plot, told, skipped)
        with silence():
            gc.collect()
    gc.unfreeze()

    return result


def _simulate(seed: int, plot: Plot, told: bool, skipped: Collection[int]) -> Result:
    rng = random.Random(seed)
    loop = SimulatedLoop(child(rng), disorder=rng.choice((0.0, 0.1, 0.5)))
    loop.set_exception_handler(lambda *_: None)
    story = Story(loop.time, told)

    with simulated_clocks(loop.time, seed), _quiet(story if told else None):
        world = World(loop, rng, story, skipped)
        try:
            loop.run_until_complete(_live(world, plot))
        except Deadlock:
            world.oracle.accuse("nothing can happen any more")

        story.end()
        result = Result(seed, list(world.oracle.violations), story, loop.time(), world.moves)
        asyncio.set_event_loop(None)  # what tasks start when they are closed would wait in a new loop, for ever
        loop.forget_tasks()
        loop.close()

    return result


@contextmanager
def _without_complaints() -> Iterator[None]:
    """Say nothing about tasks that are pending for ever, because their process was killed."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        sys.unraisablehook = hook


async def _live(world: World, plot: Plot) -> None:
    await plot(world)
    await world.settle()


def child(rng: random.Random) -> random.Random:
    """Return a source of its own, so that one part of the world does not change what another draws."""
    return random.Random(rng.getrandbits(64))


@contextmanager
def _quiet(story: Story | None) -> Iterator[None]:
    """Send the worker's log to the story, or nowhere."""
    if story is None:
        with silence():
            yield
        return

    handler = _ToStory(story)
    loggers = [logging.getLogger(name) for name in ("consumers", "utils", "aiokafka")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = True


class _ToStory(logging.Handler):
    def __init__(self, story: Story) -> None:
        super().__init__(logging.WARNING)
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: value for name, value in vars(record).items() if name not in _USUAL}
        self._story.remark(f"{record.getMessage()} {fields or ''}".strip())


_USUAL: Final = frozenset({*vars(logging.makeLogRecord({})), "message"})
