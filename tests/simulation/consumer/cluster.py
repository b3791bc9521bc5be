"""A scripted Kafka cluster: its topics, leaders and coordinator, and what goes wrong in it."""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.consumer.batches import Content
from tests.simulation.consumer.group import Group, OnCommit
from tests.simulation.consumer.network import Network
from tests.simulation.consumer.partition_log import PartitionLog
from tests.simulation.story import Story

NO_LEADER: Final = -1
PORT: Final = 9092

OnWrite = Callable[[str, int, Content], None]


@dataclass
class Trouble:
    """Some requests of one kind are answered with an error. ``after``: the request is carried out all the same."""

    codes: Sequence[int]
    share: float
    after: bool = False


@dataclass
class Node:
    """One broker, as the others see it."""

    number: int
    is_up: bool = True
    slow_s: float = 0.0

    @property
    def name(self) -> str:
        """Its host."""
        return f"b{self.number}"


@dataclass
class Observers:
    """Who hears of what reaches the brokers: each offset that is committed, each record that a client writes.

    ``accuse`` hears of requests that must not be made.
    """

    on_commit: OnCommit
    on_write: OnWrite
    accuse: Callable[[str], None]


@dataclass
class Cluster:
    """All that the brokers share. ``old_ends``: the partitions whose leader once says where the log ended before."""

    loop: asyncio.AbstractEventLoop
    rng: random.Random
    story: Story
    network: Network
    observers: Observers
    nodes: Mapping[int, Node]
    topics: dict[str, int]
    troubles: dict[str, Trouble] = field(default_factory=dict)
    old_ends: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.logs = {
            (topic, number): PartitionLog(topic, number)
            for topic, partitions in self.topics.items()
            for number in range(partitions)
        }
        self.leaders = {partition: self._any_node() for partition in self.logs}
        self.topic_ids = {topic: self.rng.randbytes(16) for topic in self.topics}
        self.group = Group(self.loop, self.story, self.observers.on_commit)
        self.coordinator = self._any_node()
        self.is_loading = False
        self.max_batch_bytes = 1 << 30
        self.waiting_fetches: dict[int, Callable[[], None]] = {}
        self.next_producer_id = 1_000
        for log in self.logs.values():
            log.on_append = self._wake_fetches

    @property
    def live_nodes(self) -> list[Node]:
        """The brokers that are up."""
        return [node for node in self.nodes.values() if node.is_up]

    def logs_of(self, topic: str) -> Iterator[PartitionLog]:
        """Yield the logs of a topic."""
        return (log for (name, _), log in self.logs.items() if name == topic)

    def error_for(self, name: str) -> tuple[int, bool]:
        """Return an error code for a request of this kind, or 0, and whether to carry it out first."""
        trouble = self.troubles.get(name)
        if trouble is None or self.rng.random() >= trouble.share:
            return 0, False

        code = self.rng.choice(trouble.codes)
        self.story.add(f"error {code} for {name}")
        return code, trouble.after

    def move_leader(self, topic: str, number: int, to: int | None = None) -> None:
        """Let another broker lead a partition."""
        leader = self._any_node() if to is None else to
        self.leaders[topic, number] = leader
        self.story.add("leader moves" if leader > 0 else "leader lost", f"{topic}/{number} to {leader}")
        self._wake_fetches()

    def move_coordinator(self, loading_s: float) -> None:
        """Let another broker coordinate the group, once it has loaded it."""
        self.coordinator = self._any_node()
        self.is_loading = True
        self.story.add("coordinator moves", f"to {self.coordinator}")
        self.group.drop_waiting(16)
        self.loop.call_later(loading_s, self._loaded)

    def stop_node(self, node: Node) -> None:
        """Stop a broker. Others take over a little later."""
        node.is_up = False
        self.story.add("broker down", node.name)
        self.network.cut_all(self.network.links_to_name(node.name))
        self.loop.call_later(self.rng.uniform(0.1, 2.0), self._take_over, node)

    def start_node(self, node: Node) -> None:
        """Start a broker again. It leads nothing yet."""
        if not node.is_up:
            node.is_up = True
            self.story.add("broker up", node.name)
            self._take_over(node)

    def add_partition(self, topic: str) -> PartitionLog:
        """Add a partition to a topic."""
        number = self.topics[topic]
        self.topics[topic] += 1
        log = self.logs[topic, number] = PartitionLog(topic, number)
        log.on_append = self._wake_fetches
        self.move_leader(topic, number)

        return log

    def replace_topic(self, topic: str) -> None:
        """Delete a topic and create it again. Its committed offsets go with it."""
        self.story.add("topic recreated", topic)
        self.topic_ids[topic] = self.rng.randbytes(16)
        for log in self.logs_of(topic):
            log.replace()
            self.group.offsets.pop((topic, log.number), None)

    def _take_over(self, node: Node) -> None:
        for (topic, number), leader in list(self.leaders.items()):
            if leader == NO_LEADER or not self.nodes[leader].is_up:
                self.move_leader(topic, number)
        if not self.nodes[self.coordinator].is_up and self.live_nodes:
            self.move_coordinator(self.rng.uniform(0.05, 1.0))

    def _loaded(self) -> None:
        self.is_loading = False

    def _any_node(self) -> int:
        live = self.live_nodes
        return self.rng.choice(live).number if live else NO_LEADER

    def _wake_fetches(self) -> None:
        for attempt in list(self.waiting_fetches.values()):
            attempt()
