"""Keeps aiokafka's clients from creating topics.

A broker with ``auto.create.topics.enable`` creates a topic that a metadata request names, with its own defaults: the
wrong number of partitions, and for dead letters the wrong retention. aiokafka's clients name the topics that they use
again and again, with that permission, and have no option to leave it out.
"""

from aiokafka import client
from aiokafka.admin import client as admin_client
from aiokafka.protocol.metadata import MetadataRequest


class _LookOnly(MetadataRequest):  # type: ignore[misc] # aiokafka has no types
    def __init__(self, topics: list[str] | None = None) -> None:
        super().__init__(topics, allow_auto_topic_creation=False)


def create_no_topics() -> None:
    """Make all clients of aiokafka in this process only look. Calling it again changes nothing."""
    for module in (client, admin_client):
        module.MetadataRequest = _LookOnly
