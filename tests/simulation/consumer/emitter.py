"""Writes events to the cluster's logs: in batches, compressed, in transactions, compacted and damaged."""

import random
import zlib
from collections.abc import Sequence
from typing import Final

from tests.simulation.consumer import batches
from tests.simulation.consumer.batches import Content
from tests.simulation.consumer.clocks import BEGINNING
from tests.simulation.consumer.cluster import Cluster
from tests.simulation.consumer.events import Event, EventMaker
from tests.simulation.consumer.oracle import Oracle
from tests.simulation.consumer.partition_log import PartitionLog

_CODECS: Final = {0: "not compressed", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_DAMAGES: Final = (batches.with_wrong_checksum, batches.with_unknown_codec, batches.with_garbage)
_COMPRESSED_SHARE: Final = 0.15
_TRANSACTION_SHARE: Final = 0.2
_GAP_SHARE: Final = 0.15
_DAMAGE_SHARE: Final = 0.05


class Emitter:
    """Writes what ``EventMaker`` makes up, and tells the oracle what it wrote. It is an emitter without faults."""

    def __init__(self, cluster: Cluster, oracle: Oracle, rng: random.Random) -> None:
        self._cluster = cluster
        self._oracle = oracle
        self._rng = rng
        self.maker = EventMaker(rng)
        self.transaction_share = _TRANSACTION_SHARE
        self.ends_transactions = True
        self._producers = 0

    def write(self, seed: int) -> None:
        """Write a batch or two, for one partition each. What they hold depends on no other seed."""
        self._rng.seed(seed)
        events = [self.maker.make(self._cluster.loop.time()) for _ in range(self._rng.randint(1, 5))]
        chosen: dict[tuple[str, int], list[Event]] = {}
        for event in events:
            chosen.setdefault((event.topic, self._partition_of(event)), []).append(event)

        for place, group in chosen.items():
            self._write(self._cluster.logs[place], group)

    def end_transactions(self) -> None:
        """Commit or abort every transaction that is open."""
        for log in self._cluster.logs.values():
            for producer_id in list(log.open_transactions):
                self._end(log, producer_id)

    def _write(self, log: PartitionLog, events: Sequence[Event]) -> None:
        if not self._oracle.takes_records(log):
            return

        contents = self._contents(events)
        is_transactional = self._rng.random() < self.transaction_share
        producer_id = self._new_producer() if is_transactional else batches.NO_PRODUCER
        codec = self._rng.choice(list(_CODECS)) if self._rng.random() < _COMPRESSED_SHARE else 0
        last_delta = contents[-1].delta + (self._rng.randrange(3) if self._rng.random() < _GAP_SHARE else 0)

        data = batches.encode(contents, codec, producer_id, is_transactional, last_delta)
        unreadable = not is_transactional and self._rng.random() < _DAMAGE_SHARE
        if unreadable:
            data = self._rng.choice(_DAMAGES)(data)

        batch = log.append(data, () if unreadable else contents, last_delta, is_transactional, unreadable)
        self._oracle.wrote(log, batch, () if unreadable else events)
        self._tell(log, codec, is_transactional, unreadable, last_delta >= len(contents))
        if is_transactional and self.ends_transactions:
            self._end_later(log, producer_id)

    def _contents(self, events: Sequence[Event]) -> list[Content]:
        """Give the records their places. Compaction leaves gaps."""
        now_ms = int((BEGINNING.timestamp() + self._cluster.loop.time()) * 1_000)
        contents = []
        delta = 0
        for event in events:
            if self._rng.random() < _GAP_SHARE:
                delta += self._rng.randint(1, 3)
            contents.append(Content(delta, now_ms, event.key, event.value, event.headers))
            delta += 1

        return contents

    def _end_later(self, log: PartitionLog, producer_id: int) -> None:
        self._cluster.loop.call_later(self._rng.expovariate(1.0), self._end, log, producer_id)

    def _end(self, log: PartitionLog, producer_id: int) -> None:
        if producer_id in log.open_transactions:
            committed = self._rng.random() < 0.6
            self._cluster.story.add("transaction committed" if committed else "transaction aborted")
            now_ms = int((BEGINNING.timestamp() + self._cluster.loop.time()) * 1_000)
            log.end_transaction(producer_id, committed, now_ms)

    def _new_producer(self) -> int:
        self._producers += 1
        return self._producers

    def _partition_of(self, event: Event) -> int:
        return zlib.crc32(event.key or b"") % self._cluster.topics[event.topic]

    def _tell(self, log: PartitionLog, codec: int, transactional: bool, unreadable: bool, has_gap: bool) -> None:
        story = self._cluster.story
        story.add("batch written", f"{log.topic}/{log.number} up to {log.end}")
        if codec:
            story.add(f"batch in {_CODECS[codec]}")
        if transactional:
            story.add("batch in a transaction")
        if unreadable:
            story.add("batch unreadable")
        if has_gap:
            story.add("batch with compaction gaps")
