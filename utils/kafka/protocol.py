"""Requests whose answers name our rights on topics and groups, for ``signin-worker check``.

aiokafka 0.14 does not get that far: its ``MetadataRequest`` ends at version 5 (rights come
with 8), and its ``DescribeGroupsRequest`` version 3 asks for the rights, but parses the
answer as version 2 and drops them.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

_TEXT: Final = String("utf-8")

_BROKER: Final = (("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))
_PARTITION: Final = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", Array(Int32)),
    ("isr", Array(Int32)),
    ("offline_replicas", Array(Int32)),
)
_TOPIC: Final = (
    ("error_code", Int16),
    ("topic", _TEXT),
    ("is_internal", Boolean),
    ("partitions", Array(*_PARTITION)),
    ("authorized_operations", Int32),
)


class _MetadataResponse(Response):
    API_KEY: ClassVar = 3
    API_VERSION: ClassVar = 8
    SCHEMA: ClassVar = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(*_BROKER)),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        ("topics", Array(*_TOPIC)),
        ("authorized_operations", Int32),
    )


class _MetadataRequest(RequestStruct):
    API_KEY: ClassVar = 3
    API_VERSION: ClassVar = 8
    RESPONSE_TYPE: ClassVar = _MetadataResponse
    SCHEMA: ClassVar = Schema(
        ("topics", Array(_TEXT)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class TopicsRequest(Request[_MetadataRequest]):
    """Ask about topics and our rights on them. Creates none."""

    API_KEY: ClassVar = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        """Return the request for the wire."""
        return request_struct_class(self._topics, False, False, True)


class _DescribeGroupsRequest(DescribeGroupsRequest_v3):
    RESPONSE_TYPE: ClassVar = DescribeGroupsResponse_v3


class GroupRequest(Request[_DescribeGroupsRequest]):
    """Ask a group's coordinator about its members and our rights on it."""

    API_KEY: ClassVar = 15

    def __init__(self, group_id: str) -> None:
        self._group_id = group_id

    def build(self, request_struct_class: type[_DescribeGroupsRequest]) -> _DescribeGroupsRequest:
        """Return the request for the wire."""
        return request_struct_class([self._group_id], True)
