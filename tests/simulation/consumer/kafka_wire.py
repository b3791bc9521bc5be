"""Kafka's protocol as a broker reads and writes it, with aiokafka's own structures."""

import marshal
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from struct import Struct
from typing import Any, Final, NamedTuple

from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.protocol.types import String, TaggedFields

from utils.kafka.protocol import TopicsRequest
from utils.kafka.topic_ids import TopicIdsRequest

PRODUCE: Final = 0
FETCH: Final = 1
LIST_OFFSETS: Final = 2
METADATA: Final = 3
OFFSET_COMMIT: Final = 8
OFFSET_FETCH: Final = 9
FIND_COORDINATOR: Final = 10
JOIN_GROUP: Final = 11
HEARTBEAT: Final = 12
LEAVE_GROUP: Final = 13
SYNC_GROUP: Final = 14
API_VERSIONS: Final = 18
INIT_PRODUCER_ID: Final = 22

NAMES: Final = {
    PRODUCE: "Produce",
    FETCH: "Fetch",
    LIST_OFFSETS: "ListOffsets",
    METADATA: "Metadata",
    OFFSET_COMMIT: "OffsetCommit",
    OFFSET_FETCH: "OffsetFetch",
    FIND_COORDINATOR: "FindCoordinator",
    JOIN_GROUP: "JoinGroup",
    HEARTBEAT: "Heartbeat",
    LEAVE_GROUP: "LeaveGroup",
    SYNC_GROUP: "SyncGroup",
    API_VERSIONS: "ApiVersions",
    INIT_PRODUCER_ID: "InitProducerId",
}

_REQUESTS: Final = (
    ApiVersionRequest,
    FetchRequest,
    FindCoordinatorRequest,
    HeartbeatRequest,
    InitProducerIdRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    MetadataRequest,
    OffsetCommitRequest,
    OffsetFetchRequest,
    OffsetRequest,
    ProduceRequest,
    SyncGroupRequest,
    TopicIdsRequest,
    TopicsRequest,
)
_STRUCTS: Final = {(struct.API_KEY, struct.API_VERSION): struct for request in _REQUESTS for struct in request._CLASSES}
_TEXT: Final = String("utf-8")
_HEADER: Final = Struct(">hhi")
_INT: Final = Struct(">i")
_LENGTH: Final = _INT
_KEPT: Final = 4_096
_WITHOUT_REFERENCES: Final = 2
"""A version of ``marshal`` that writes equal values as equal bytes."""


class Request(NamedTuple):
    """A decoded request. ``body`` has the members that aiokafka's structure names."""

    key: int
    version: int
    correlation_id: int
    body: Any

    @property
    def name(self) -> str:
        """What Kafka calls it."""
        return NAMES[self.key]


def decode_request(frame: bytes) -> Request:
    """Decode a request without its length. Nobody may change its body: equal bodies are decoded once."""
    key, version, correlation_id = _HEADER.unpack_from(frame)

    return Request(key, version, correlation_id, _decode_body(key, version, frame[_HEADER.size :]))


def encode_answer(request: Request, fields: Any) -> bytes:
    """Encode an answer with its length. Equal answers are encoded once."""
    body = _encode_body(request.key, request.version, marshal.dumps(fields, _WITHOUT_REFERENCES))

    return _LENGTH.pack(_INT.size + len(body)) + _INT.pack(request.correlation_id) + body


@lru_cache(_KEPT)
def _decode_body(key: int, version: int, rest: bytes) -> Any:
    """Decode what follows the number of a request."""
    data = BytesIO(rest)
    _TEXT.decode(data)  # the client's id
    struct = _STRUCTS[key, version]
    if struct.FLEXIBLE_VERSION:
        TaggedFields.decode(data)

    return struct.decode(data)


@lru_cache(_KEPT)
def _encode_body(key: int, version: int, fields: bytes) -> bytes:
    """Encode what follows the number of an answer."""
    struct = _STRUCTS[key, version]
    tags: bytes = TaggedFields.encode({}) if struct.FLEXIBLE_VERSION else b""
    answer: bytes = struct.RESPONSE_TYPE(*marshal.loads(fields)).encode()

    return tags + answer


def supported_versions() -> Iterator[tuple[int, int, int]]:
    """Yield the versions of each request that the brokers support."""
    for key in NAMES:
        versions = [version for known, version in _STRUCTS if known == key]
        yield key, min(versions), max(versions)
