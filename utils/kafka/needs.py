"""What this process needs of Kafka, and what of it is missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from utils.kafka.access import KafkaAccess
from utils.kafka.metadata import READ, ClusterDescription, describe_cluster


@dataclass(frozen=True)
class KafkaNeeds:
    """``rights``: the one right needed on each topic. ``group_id``: the group to be a member of."""

    rights: Mapping[str, str]
    group_id: str | None = None

    @property
    def topics(self) -> Sequence[str]:
        """The topics that must exist."""
        return list(self.rights)


async def find_problems(access: KafkaAccess, needs: KafkaNeeds) -> list[str]:
    """Return a sentence for each thing that an operator must repair. Creates nothing. Raises ``KafkaUnavailable``."""
    groups = [] if needs.group_id is None else [needs.group_id]
    cluster = await describe_cluster(access, needs.topics, groups)

    return [*_missing(cluster, needs.topics), *_refused(cluster, needs)]


async def missing_topics(access: KafkaAccess, topics: Sequence[str]) -> str | None:
    """Return a sentence that names the topics that are missing, if any. Raises ``KafkaUnavailable``."""
    cluster = await describe_cluster(access, topics, [])
    return next(_missing(cluster, topics), None)


def _missing(cluster: ClusterDescription, topics: Sequence[str]) -> Iterator[str]:
    if missing := [topic for topic in topics if cluster.topics.get(topic) is None]:
        yield f"these topics are missing: {', '.join(missing)}. Run signin-worker topics create."


def _refused(cluster: ClusterDescription, needs: KafkaNeeds) -> Iterator[str]:
    for name, right in needs.rights.items():
        topic = cluster.topics.get(name)
        if topic is not None and right not in topic.rights:
            yield f"{name}: not allowed to {right}. Run signin-worker check."

    if needs.group_id is not None and READ not in cluster.groups[needs.group_id].rights:
        yield f"group {needs.group_id}: not allowed to {READ}. Run signin-worker check."
