"""The real consumer, composed as in ``signin_worker``, in a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from activities.pseudonyms import Pseudonyms
from consumers.gateway.breaker import Breaker
from consumers.gateway.guard import GuardedGateway
from consumers.gateway.limiter import AdaptiveLimit
from consumers.handling.dead_lettering import DeadLetterBreaker, DeadLettering, DeadLetterLimits
from consumers.handling.dispatch import AgeLimits, Dispatcher, Handler
from consumers.handling.observed import Observed
from consumers.handling.retrying import Retrying
from consumers.intake import Delivery, Intake
from consumers.metrics import ConsumerSnapshot, PartitionPosition
from consumers.outcomes import Ignored, Late, Outcome
from consumers.polling.limits import ConsumerLimits
from consumers.polling.loop import ConsumerLoop
from consumers.polling.watchdog import ConsumerStalled
from schemas.topics import REQUESTED_TOPIC, SUBMITTED_TOPIC, dead_letter_topic
from tests.simulation.consumer.events import GROUP
from tests.simulation.consumer.event_loop import SimulatedLoop
from tests.simulation.consumer.network import Network
from tests.simulation.consumer.oracle import Oracle
from tests.simulation.consumer.processes import Process
from tests.simulation.story import Story
from tests.simulation.consumer.temporal_model import TemporalModel
from utils.kafka.access import KafkaAccess
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES, ReliableProducer
from utils.kafka.source import KafkaSource
from utils.kafka.writers import KafkaDeadLetterWriter

INBOUND: Final = (REQUESTED_TOPIC, SUBMITTED_TOPIC)
_KEY: Final = bytes(range(32))


@dataclass
class Surroundings:
    """What a worker runs in."""

    loop: SimulatedLoop
    network: Network
    story: Story
    temporal: TemporalModel
    oracle: Oracle
    bootstrap_servers: str
    limits: ConsumerLimits
    letter_limits: DeadLetterLimits


class Worker:
    """One worker. It can be stopped as by SIGTERM, killed, and frozen."""

    def __init__(self, name: str, surroundings: Surroundings) -> None:
        self.process = Process(name)
        self._surroundings = surroundings
        self._story = surroundings.story
        self._consumer: ConsumerLoop | None = None
        self._letters = DeadLetterBreaker()
        self._source: KafkaSource | None = None
        self._metrics: StoryMetrics | None = None
        self._is_stopping = False
        self._story.add("worker starts", name)
        self.running = surroundings.loop.create_task(self._run(), context=self.process.context)

    @property
    def name(self) -> str:
        """The name of its process."""
        return self.process.name

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or was killed."""
        return self.process.is_dead or self.running.done()

    def stop(self) -> None:
        """Ask it to end."""
        self._story.add("worker stops", self.name)
        self._surroundings.loop.call_soon(self._stop, context=self.process.context)

    def kill(self) -> None:
        """End it at once. The system closes its connections."""
        self._story.add("worker killed", self.name)
        self.process.kill()
        self._surroundings.network.cut_all(lambda link: link.process is self.process)

    def freeze(self) -> None:
        """Let nothing of it run."""
        self._story.add("worker frozen", self.name)
        self.process.freeze()

    def thaw(self) -> None:
        """Let it run again."""
        if not self.process.runs and not self.process.is_dead:
            self._story.add("worker thawed", self.name)
            self._surroundings.loop.put_back(self.process.thaw())

    def positions(self) -> Sequence[PartitionPosition]:
        """Return what it knows of its partitions."""
        return self._consumer.positions() if self._consumer is not None else ()

    @property
    def in_flight(self) -> int:
        """How many records it says are in work or wait for it."""
        return self._metrics.in_flight if self._metrics is not None else 0

    @property
    def is_halted(self) -> bool:
        """Whether the breaker of dead letters is open."""
        return self._letters.is_open

    def resume(self) -> bool:
        """Close the breaker of dead letters, as an operator does; return whether it was open."""
        return self._letters.resume()

    def has_fetcher(self) -> bool:
        """Whether the client has a task that fetches, and partitions to fetch."""
        task = self._fetch_task()
        return task is not None and not task.done() and bool(self.positions())

    def kill_fetcher(self) -> None:
        """End the client's task that fetches, as a bug in it might."""
        task = self._fetch_task()
        if task is not None:
            self._story.add("client broken", self.name)
            task.cancel()

    def _fetch_task(self) -> Any:
        client = self._source._started if self._source is not None else None
        return client._fetcher._fetch_task if client is not None and client._fetcher is not None else None

    def _stop(self) -> None:
        self._is_stopping = True
        if self._consumer is not None:
            self._consumer.stop()

    async def _run(self) -> None:
        access = KafkaAccess(self._surroundings.bootstrap_servers)
        producer = ReliableProducer(access, max_request_bytes=MAX_DEAD_LETTER_BYTES)
        self._consumer = self._build(access, producer)
        if self._is_stopping:
            self._consumer.stop()

        try:
            await self._consumer.run()
        except ConsumerStalled as error:
            self._story.add("worker ends: stalled", str(error))
        except Exception as error:
            self._surroundings.oracle.accuse(f"{self.name} ended with a bug: {error!r}")
        finally:
            await producer.close()
            self._story.add("worker ended", self.name)

    def _build(self, access: KafkaAccess, producer: ReliableProducer) -> ConsumerLoop:
        """Compose the consumer as ``build_consumer`` does, around the model of Temporal."""
        metrics = self._metrics = StoryMetrics(self._story, self._surroundings.oracle)
        breaker = Breaker()
        letters = self._letters = DeadLetterBreaker(self._surroundings.letter_limits)
        gateway = GuardedGateway(self._surroundings.temporal, breaker, metrics, AdaptiveLimit(64))

        handle: Handler = Retrying(Dispatcher(gateway, AgeLimits()), metrics)
        handle = DeadLettering(handle, KafkaDeadLetterWriter(producer), letters, GROUP)
        handle = Observed(handle, metrics)

        self._source = KafkaSource(
            access, GROUP, INBOUND, required_topics=[dead_letter_topic(topic) for topic in INBOUND]
        )
        return ConsumerLoop(
            self._source,
            Intake(*INBOUND, Pseudonyms(_KEY), metrics),
            _LateSeen(handle, self._surroundings.oracle),
            metrics,
            (breaker, letters),
            self._surroundings.limits,
        )


class _LateSeen:
    """Tells the oracle which records were too old."""

    def __init__(self, handler: Handler, oracle: Oracle) -> None:
        self._handler = handler
        self._oracle = oracle

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Return the handler's outcome."""
        outcome = await self._handler(delivery)
        if isinstance(outcome, Late | Ignored):
            record = delivery.record
            self._oracle.saw_late(record.topic, record.partition, record.offset)

        return outcome


class StoryMetrics:
    """Fulfils ``ConsumerMetrics``: what is counted becomes part of the story."""

    def __init__(self, story: Story, oracle: Oracle) -> None:
        self.in_flight = 0
        self._story = story
        self._oracle = oracle

    def record_done(self, topic: str, outcome: str) -> None:
        """Note a record."""
        self._story.add(f"record {outcome}", topic)

    def call_postponed(self, reason: str) -> None:
        """Note a retry."""
        self._story.add(f"call postponed: {reason}")

    def limit_changed(self, limit: int) -> None:
        """Note the limit."""
        self._story.add("limit of calls changed", f"to {limit}")

    def time_in_future(self, topic: str) -> None:
        """Note an event."""
        self._story.add("time in the future", topic)

    def rebalanced(self) -> None:
        """Note an assignment."""
        self._story.add("partitions assigned")

    def log_replaced(self, topic: str) -> None:
        """Note a log."""
        self._story.add("log replaced", topic)
        self._oracle.saw_new_log(topic)

    def rebuilt(self) -> None:
        """Note a rebuild."""
        self._story.add("consumer rebuilt")

    def observe(self, snapshot: ConsumerSnapshot) -> None:
        """Note that intake is stopped, and how much is in flight."""
        self.in_flight = snapshot.in_flight
        if snapshot.breaker_open:
            self._story.add("breaker open")
