"""One broker: takes requests from connections, and answers them after a little while."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from tests.simulation.consumer import kafka_wire as wire
from tests.simulation.consumer.cluster import PORT, Cluster, Node
from tests.simulation.consumer.group import Joined, Synced
from tests.simulation.consumer.kafka_wire import Request
from tests.simulation.consumer.log_requests import LogRequests
from tests.simulation.consumer.network import Link

Reply = Callable[[Sequence[Any]], None]
Handler = Callable[[Request, Reply], None]

_SERVICE_S: Final = 0.0005
_NO_SUCH_TOPIC: Final = 3
_NOT_COORDINATOR: Final = 16
_LOADING: Final = 14
_ALL_RIGHTS: Final = 0xFFFF
_NO_TAGS: Final[dict[int, bytes]] = {}


class Broker:
    """Speaks Kafka's protocol for one node of the cluster."""

    def __init__(self, cluster: Cluster, node: Node) -> None:
        self._cluster = cluster
        self._node = node
        logs = LogRequests(cluster, node)
        self._handlers: Mapping[int, Handler] = {
            wire.API_VERSIONS: self._api_versions,
            wire.METADATA: self._metadata,
            wire.FIND_COORDINATOR: self._find_coordinator,
            wire.JOIN_GROUP: self._join_group,
            wire.SYNC_GROUP: self._sync_group,
            wire.HEARTBEAT: self._heartbeat,
            wire.LEAVE_GROUP: self._leave_group,
            wire.OFFSET_COMMIT: self._offset_commit,
            wire.OFFSET_FETCH: self._offset_fetch,
            wire.INIT_PRODUCER_ID: self._init_producer_id,
            wire.PRODUCE: logs.produce,
            wire.FETCH: logs.fetch,
            wire.LIST_OFFSETS: logs.list_offsets,
        }

    @property
    def is_up(self) -> bool:
        """Whether it takes connections."""
        return self._node.is_up

    @property
    def name(self) -> str:
        """Its host."""
        return self._node.name

    def receive(self, link: Link, frame: bytes) -> None:
        """Carry out a request, a little later."""
        request = wire.decode_request(frame)
        who = link.process.name if link.process else "?"
        self._cluster.story.add(request.name, f"{who} → {self._node.name}")

        service_s = _SERVICE_S * (1 + self._cluster.rng.random()) + self._cluster.rng.random() * self._node.slow_s
        self._cluster.loop.call_later(service_s, self._handle, link, request)

    def _handle(self, link: Link, request: Request) -> None:
        def reply(fields: Sequence[Any]) -> None:
            link.answer(wire.encode_answer(request, fields))

        self._handlers[request.key](request, reply)

    def _api_versions(self, request: Request, reply: Reply) -> None:
        reply((0, list(wire.supported_versions())))

    def _metadata(self, request: Request, reply: Reply) -> None:
        code, _ = self._cluster.error_for(request.name)
        topics = self._topics_asked_for(request)
        self._raise_alarm_if_topics_would_be_created(request, topics)
        shape = {5: _metadata_5, 8: _metadata_8, 12: _metadata_12}[request.version]

        reply(shape(self._cluster, topics, code))

    def _raise_alarm_if_topics_would_be_created(self, request: Request, topics: Sequence[str]) -> None:
        for topic in topics:
            if request.body.allow_auto_topic_creation and topic not in self._cluster.topics:
                self._cluster.observers.accuse(f"{topic} would be created by asking for it")

    def _topics_asked_for(self, request: Request) -> list[str]:
        asked = request.body.topics
        if asked is None:
            return list(self._cluster.topics)

        return [each if isinstance(each, str) else each[1] for each in asked]

    def _find_coordinator(self, request: Request, reply: Reply) -> None:
        code, _ = self._cluster.error_for(request.name)
        node = self._cluster.nodes[self._cluster.coordinator]
        reply((0, code, None, node.number, node.name, PORT))

    def _join_group(self, request: Request, reply: Reply) -> None:
        def answer(joined: Joined) -> None:
            error, generation, protocol, leader, member_id, members = joined
            reply((0, error, generation, protocol, leader, member_id, list(members)))

        error = self._coordinator_error(request)
        if error:
            return answer(Joined(error))

        body = request.body
        self._cluster.group.join(
            body.member_id,
            body.session_timeout / 1_000,
            body.rebalance_timeout / 1_000,
            body.group_protocols[0],
            answer,
        )

    def _sync_group(self, request: Request, reply: Reply) -> None:
        def answer(synced: Synced) -> None:
            reply((0, synced.error, synced.assignment))

        error = self._coordinator_error(request)
        if error:
            return answer(Synced(error))

        body = request.body
        self._cluster.group.sync(body.member_id, body.generation_id, body.group_assignment, answer)

    def _heartbeat(self, request: Request, reply: Reply) -> None:
        body = request.body
        error = self._coordinator_error(request)
        if error == _LOADING:  # Kafka answers blindly then: the group is not known yet
            reply((0, 0))
        else:
            reply((0, error or self._cluster.group.heartbeat(body.member_id, body.generation_id)))

    def _leave_group(self, request: Request, reply: Reply) -> None:
        error = self._coordinator_error(request)
        reply((0, error or self._cluster.group.leave(request.body.member_id)))

    def _offset_commit(self, request: Request, reply: Reply) -> None:
        body = request.body
        offsets = [
            (topic, number, offset) for topic, partitions in body.topics for number, offset, _metadata in partitions
        ]
        code, after = self._cluster.error_for(request.name)
        error = self._coordinator_error(request, injected=False)
        if not error and (not code or after):
            error = self._cluster.group.commit(body.consumer_id, body.consumer_group_generation_id, offsets)

        result = code or error
        reply((0, [(topic, [(each[0], result) for each in partitions]) for topic, partitions in body.topics]))

    def _offset_fetch(self, request: Request, reply: Reply) -> None:
        error = self._coordinator_error(request)
        stored = self._cluster.group.offsets
        topics = [
            (topic, [(number, stored.get((topic, number), -1) if not error else -1, "", error) for number in numbers])
            for topic, numbers in request.body.topics
        ]
        reply((0, topics, error))

    def _init_producer_id(self, request: Request, reply: Reply) -> None:
        code, _ = self._cluster.error_for(request.name)
        self._cluster.next_producer_id += 1
        reply((0, code, self._cluster.next_producer_id, 0))

    def _coordinator_error(self, request: Request, injected: bool = True) -> int:
        if self._cluster.coordinator != self._node.number:
            return _NOT_COORDINATOR
        if self._cluster.is_loading:
            return _LOADING

        return self._cluster.error_for(request.name)[0] if injected else 0


def _brokers(cluster: Cluster) -> list[tuple[int, str, int, str]]:
    """Return the brokers that are up. They have a rack: the client keeps them in a set, and None hashes by address."""
    return [(node.number, node.name, PORT, "rack") for node in cluster.live_nodes]


def _partitions(cluster: Cluster, topic: str) -> list[tuple[int, int, int, list[int]]]:
    """Return the error code, number, leader and replicas of each partition."""
    replicas = list(cluster.nodes)
    found = [(number, cluster.leaders[topic, number]) for number in range(cluster.topics[topic])]
    return [(5 if leader < 0 else 0, number, leader, replicas) for number, leader in found]


def _metadata_5(cluster: Cluster, topics: Sequence[str], code: int) -> Sequence[Any]:
    described: list[Any] = [
        (error, topic, False, [(each[0], *each[1:3], each[3], each[3], []) for each in partitions])
        for error, topic, partitions in _described(cluster, topics, code)
    ]
    return 0, _brokers(cluster), "simulated", 1, described


def _metadata_8(cluster: Cluster, topics: Sequence[str], code: int) -> Sequence[Any]:
    described: list[Any] = [
        (
            error,
            topic,
            False,
            [(code, number, leader, 0, all_, all_, []) for code, number, leader, all_ in partitions],
            _ALL_RIGHTS,
        )
        for error, topic, partitions in _described(cluster, topics, code)
    ]
    return 0, _brokers(cluster), "simulated", 1, described, _ALL_RIGHTS


def _metadata_12(cluster: Cluster, topics: Sequence[str], code: int) -> Sequence[Any]:
    tagged = partial(_tagged_partition, _NO_TAGS)
    described: list[Any] = [
        (error, topic, cluster.topic_ids[topic], False, [tagged(*each) for each in partitions], 0, _NO_TAGS)
        for error, topic, partitions in _described(cluster, topics, code)
    ]
    return 0, [(*broker, _NO_TAGS) for broker in _brokers(cluster)], "simulated", 1, described, _NO_TAGS


def _tagged_partition(tags: dict[int, bytes], error: int, number: int, leader: int, all_: list[int]) -> tuple[Any, ...]:
    return error, number, leader, 0, all_, all_, [], tags


def _described(
    cluster: Cluster, topics: Sequence[str], code: int
) -> list[tuple[int, str, list[tuple[int, int, int, list[int]]]]]:
    """Return the error code, name and partitions of each topic."""
    return [
        (code, topic, _partitions(cluster, topic)) if topic in cluster.topics else (_NO_SUCH_TOPIC, topic, [])
        for topic in topics
    ]


def serve(cluster: Cluster) -> None:
    """Let all brokers of the cluster listen."""
    for node in cluster.nodes.values():
        cluster.network.serve(node.name, PORT, Broker(cluster, node))
