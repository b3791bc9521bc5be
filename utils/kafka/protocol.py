"""Questions to Kafka's brokers whose answers tell what we may do.

aiokafka has both in older versions, which do not tell; and it reads a group's answer as a shorter one than it is.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Bytes, Int16, Int32, Schema, String

_TEXT: Final = String("utf-8")


class _TopicsAnswer(Response):
    API_KEY: ClassVar = 3
    API_VERSION: ClassVar = 8
    SCHEMA: ClassVar = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("authorized_operations", Int32),
    )


class _TopicsQuestion(RequestStruct):
    API_KEY: ClassVar = 3
    API_VERSION: ClassVar = 8
    RESPONSE_TYPE: ClassVar = _TopicsAnswer
    SCHEMA: ClassVar = Schema(
        ("topics", Array(_TEXT)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class TopicsRequest(Request[_TopicsQuestion]):
    """What these topics are, without making them."""

    API_KEY: ClassVar = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: type[_TopicsQuestion]) -> _TopicsQuestion:
        """Ask for the topics and the rights on them, and create none."""
        return request_struct_class(self._topics, False, False, True)


class _GroupsAnswer(Response):
    API_KEY: ClassVar = 15
    API_VERSION: ClassVar = 3
    SCHEMA: ClassVar = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            Array(
                ("error_code", Int16),
                ("group", _TEXT),
                ("state", _TEXT),
                ("protocol_type", _TEXT),
                ("protocol", _TEXT),
                (
                    "members",
                    Array(
                        ("member_id", _TEXT),
                        ("client_id", _TEXT),
                        ("client_host", _TEXT),
                        ("member_metadata", Bytes),
                        ("member_assignment", Bytes),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
    )


class _GroupsQuestion(RequestStruct):
    API_KEY: ClassVar = 15
    API_VERSION: ClassVar = 3
    RESPONSE_TYPE: ClassVar = _GroupsAnswer
    SCHEMA: ClassVar = Schema(("groups", Array(_TEXT)), ("include_authorized_operations", Boolean))


class GroupsRequest(Request[_GroupsQuestion]):
    """Who is in these groups; only their coordinator knows."""

    API_KEY: ClassVar = 15

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[_GroupsQuestion]) -> _GroupsQuestion:
        """Ask for the groups and the rights on them."""
        return request_struct_class(self._groups, True)
