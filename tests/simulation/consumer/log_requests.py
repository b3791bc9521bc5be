"""What a broker answers to requests about logs: Produce, Fetch and ListOffsets."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from tests.simulation.consumer import batches
from tests.simulation.consumer.cluster import Cluster, Node
from tests.simulation.consumer.kafka_wire import Request
from tests.simulation.consumer.partition_log import PartitionLog

Reply = Callable[[Sequence[Any]], None]

_OUT_OF_RANGE: Final = 1
_NOT_LEADER: Final = 6
_TOO_LARGE: Final = 10
_OUT_OF_ORDER: Final = 45
_EARLIEST: Final = -2
_COMMITTED: Final = 1


class _Wanted(NamedTuple):
    """What a fetch asks of one partition."""

    topic: str
    number: int
    offset: int
    max_bytes: int


class _Found(NamedTuple):
    """What it gets. ``ends_wait``: the answer need not wait for more."""

    topic: str
    fields: Sequence[Any]
    ends_wait: bool


class LogRequests:
    """Answers for the partitions that one node leads."""

    def __init__(self, cluster: Cluster, node: Node) -> None:
        self._cluster = cluster
        self._node = node
        self._numbers = count()

    def list_offsets(self, request: Request, reply: Reply) -> None:
        """Tell where logs begin and end."""
        topics = []
        for topic, partitions in request.body.topics:
            found = [self._offset(request, topic, each[0], each[-1]) for each in partitions]
            topics.append((topic, found))

        reply((0, topics))

    def produce(self, request: Request, reply: Reply) -> None:
        """Append what a producer sends."""
        topics = []
        for topic, partitions in request.body.topics:
            topics.append((topic, [self._append(request, topic, number, data) for number, data in partitions]))

        reply((topics, 0))

    def fetch(self, request: Request, reply: Reply) -> None:
        """Return what there is to read, and wait for it if there is nothing."""
        cluster = self._cluster
        number = (self._node.number << 32) + next(self._numbers)
        deadline = cluster.loop.time() + request.body.max_wait_time / 1_000
        errors = {wanted: cluster.error_for(request.name)[0] for wanted in _wanted(request)}

        def attempt() -> None:
            found = [self._read(wanted, request, error) for wanted, error in errors.items()]
            is_over = cluster.loop.time() >= deadline
            if is_over or any(each.ends_wait for each in found):
                cluster.waiting_fetches.pop(number, None)
                timer.cancel()
                reply((0, 0, 0, _by_topic(found)))

        cluster.waiting_fetches[number] = attempt
        timer = cluster.loop.call_at(deadline, attempt)
        attempt()

    def _read(self, wanted: _Wanted, request: Request, error: int) -> _Found:
        topic, number, offset, max_bytes = wanted
        log = self._led(topic, number)
        if error or log is None:
            return _Found(topic, (number, error or _NOT_LEADER, -1, -1, -1, None, -1, b""), True)
        if not log.start <= offset <= log.end:
            return _Found(topic, (number, _OUT_OF_RANGE, -1, -1, -1, None, -1, b""), True)

        is_committed = request.body.isolation_level == _COMMITTED
        end = log.stable_end if is_committed else log.end
        found = log.read(offset, max_bytes, end)
        data = b"".join(batch.data for batch in found)
        aborted = log.aborted_between(offset, found[-1].last + 1) if found and is_committed else []

        return _Found(topic, (number, 0, log.end, log.stable_end, log.start, aborted, -1, data), bool(found))

    def _offset(self, request: Request, topic: str, number: int, timestamp: int) -> Sequence[Any]:
        code, _ = self._cluster.error_for(request.name)
        log = self._led(topic, number)
        epoch = () if request.version < 4 else (-1,)
        if code or log is None:
            return (number, code or _NOT_LEADER, -1, -1, *epoch)

        is_committed = request.body.isolation_level == _COMMITTED
        end = log.stable_end if is_committed else log.end
        if not is_committed and (topic, number) in self._cluster.old_ends:
            self._cluster.old_ends.remove((topic, number))
            self._cluster.story.add("end of a log as it was before", f"{topic}/{number}")
            end = log.start

        return (number, 0, -1, log.start if timestamp == _EARLIEST else end, *epoch)

    def _append(self, request: Request, topic: str, number: int, data: bytes) -> Sequence[Any]:
        code, after = self._cluster.error_for(request.name)
        log = self._led(topic, number)
        if log is None or (code and not after):
            return number, code or _NOT_LEADER, -1, -1, -1

        if len(data) > self._cluster.max_batch_bytes:
            self._cluster.story.add("batch too large", f"{topic}/{number}")
            return number, _TOO_LARGE, -1, -1, -1

        writer = batches.producer_state(data)
        expected, repeated_at = log.expected_sequence(writer)
        if repeated_at is not None:
            self._cluster.story.add("batch sent again", f"{topic}/{number}")
            return number, code, repeated_at, -1, log.start
        if writer.sequence != expected:
            self._cluster.story.add("batch out of order", f"{topic}/{number}")
            return number, _OUT_OF_ORDER, -1, -1, -1

        contents = batches.decode(data)
        batch = log.append(data, contents, contents[-1].delta)
        log.note_sequence(writer, batch.base)
        for content in contents:
            self._cluster.observers.on_write(topic, number, content)

        return number, code, batch.base, -1, log.start

    def _led(self, topic: str, number: int) -> PartitionLog | None:
        is_leader = topic in self._cluster.topics and self._cluster.leaders.get((topic, number)) == self._node.number
        return self._cluster.logs[topic, number] if is_leader else None


def _wanted(request: Request) -> Iterator[_Wanted]:
    for topic, partitions in request.body.topics:
        for number, _epoch, offset, _start, max_bytes in partitions:
            yield _Wanted(topic, number, offset, max_bytes)


def _by_topic(found: Sequence[_Found]) -> list[tuple[str, list[Sequence[Any]]]]:
    topics: dict[str, list[Sequence[Any]]] = {}
    for each in found:
        topics.setdefault(each.topic, []).append(each.fields)

    return list(topics.items())
