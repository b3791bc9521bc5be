"""The request that tells the ids of topics. A topic that is deleted and created again has another id.

aiokafka 0.14 knows metadata up to version 5; ids come with version 10.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_ID_BYTES: Final = 16


class _Uuid(AbstractType[bytes]):
    @classmethod
    def decode(cls, data: Any) -> bytes:
        """Return the bytes as they are."""
        return bytes(data.read(_ID_BYTES))

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        """Return the bytes as they are."""
        return value


_TEXT: Final = CompactString("utf-8")
_TAGS: Final = ("tags", TaggedFields)
_ANY_ID: Final = bytes(_ID_BYTES)

_BROKER: Final = (("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS)
_PARTITION: Final = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
    _TAGS,
)
_TOPIC: Final = (
    ("error_code", Int16),
    ("topic", _TEXT),
    ("topic_id", _Uuid),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*_PARTITION)),
    ("authorized_operations", Int32),
    _TAGS,
)


class _MetadataResponse(Response):
    API_KEY: ClassVar = 3
    API_VERSION: ClassVar = 12
    SCHEMA: ClassVar = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*_BROKER)),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        ("topics", CompactArray(*_TOPIC)),
        _TAGS,
    )


class _MetadataRequest(RequestStruct):
    API_KEY: ClassVar = 3
    API_VERSION: ClassVar = 12
    FLEXIBLE_VERSION: ClassVar = True
    RESPONSE_TYPE: ClassVar = _MetadataResponse
    SCHEMA: ClassVar = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _TEXT), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class TopicIdsRequest(Request[_MetadataRequest]):
    """Ask about topics by their names. Creates none."""

    API_KEY: ClassVar = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = tuple(topics)

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        """Return the request for the wire."""
        topics: list[tuple[bytes, str, dict[int, bytes]]] = [(_ANY_ID, topic, {}) for topic in self._topics]
        return request_struct_class(topics, False, False, {})
