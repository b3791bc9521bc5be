"""The check of Kafka: topics, rights and the group.

Each finding carries the command that repairs it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.topics import is_dead_letter_topic
from utils.checks.finding import Finding
from utils.kafka.access import KafkaAccess
from utils.kafka.metadata import (
    DESCRIBE,
    DESCRIBE_CONFIGS,
    READ,
    WRITE,
    ClusterDescription,
    GroupDescription,
    TopicDescription,
    describe_cluster,
)
from utils.kafka.topics import TopicPlan, differing_settings, look_up_topics

_MIN_IN_SYNC: Final = "min.insync.replicas"
_ASSIGNORS: Final = ("", "range")
_TOPICS: Final = "Kafka topics"
_RIGHTS: Final = "Kafka rights"
_GROUP: Final = "Kafka group"

TopicSettings = Mapping[str, Mapping[str, str]]
"""By topic, the settings of those whose settings we may see."""


@dataclass(frozen=True)
class TopicUse:
    """A topic as it should be, the rights that ``run`` requires on it, and those that only other commands use."""

    plan: TopicPlan
    required: tuple[str, ...]
    optional: tuple[str, ...]


def topic_uses(plans: Sequence[TopicPlan], results: str) -> list[TopicUse]:
    """Return how each topic is used.

    ``dlt replay``, ``request`` and ``submit`` write what ``run`` reads.
    """
    return [_use(plan, plan.name == results) for plan in plans]


def _use(plan: TopicPlan, is_results: bool) -> TopicUse:
    if is_results:
        return TopicUse(plan, (DESCRIBE, WRITE), (DESCRIBE_CONFIGS,))
    if is_dead_letter_topic(plan.name):
        return TopicUse(plan, (DESCRIBE, WRITE), (READ, DESCRIBE_CONFIGS))
    return TopicUse(plan, (DESCRIBE, READ), (WRITE, DESCRIBE_CONFIGS))


class KafkaCheck:
    """Judges what the brokers report. ``replay_group`` is the group of ``dlt replay``."""

    def __init__(self, access: KafkaAccess, uses: Sequence[TopicUse], group_id: str, replay_group: str) -> None:
        self._access = access
        self._commands = KafkaCommands(access)
        self._uses = uses
        self._group_id = group_id
        self._replay_group = replay_group

    async def run(self) -> list[Finding]:
        """Ask the brokers and judge their answers. Creates nothing. Raises ``KafkaUnavailable``."""
        topics = [use.plan.name for use in self._uses]
        cluster = await describe_cluster(self._access, topics, [self._group_id, self._replay_group])
        states = await look_up_topics(self._access, topics)

        settings = {name: state.settings for name, state in states.items() if state.settings is not None}
        return self.judge(cluster, settings)

    def judge(self, cluster: ClusterDescription, settings: TopicSettings) -> list[Finding]:
        """Return a finding for each thing that is wrong, or one for an area where nothing is."""
        brokers = "1 broker" if cluster.brokers == 1 else f"{cluster.brokers} brokers"
        topics = [
            *self._missing(cluster),
            *self._topics(cluster, settings),
            *self._partitions(cluster),
        ]
        rights = [*self._topic_rights(cluster), *self._group_rights(cluster)]

        return [
            Finding.passed("Kafka", f"{brokers} at {self._access.bootstrap_servers}."),
            *(topics or [Finding.passed(_TOPICS, "all topics exist and are set up as planned.")]),
            *(rights or [Finding.passed(_RIGHTS, "all rights are granted.")]),
            self._group(cluster.groups[self._group_id]),
        ]

    def _missing(self, cluster: ClusterDescription) -> Iterator[Finding]:
        missing = [use.plan.name for use in self._uses if cluster.topics.get(use.plan.name) is None]
        if missing:
            text = f"these topics are missing: {', '.join(missing)}."
            yield Finding.failed(_TOPICS, text, "signin-worker topics create")

    def _topics(self, cluster: ClusterDescription, settings: TopicSettings) -> Iterator[Finding]:
        for use in self._uses:
            name = use.plan.name
            topic = cluster.topics.get(name)
            if topic is None or DESCRIBE not in topic.rights:
                continue

            yield from self._leaders(name, topic, cluster.brokers)
            if name in settings:
                yield from self._replicas(name, topic, int(settings[name].get(_MIN_IN_SYNC, 1)))
                yield from self._settings(use.plan, settings[name])

    def _leaders(self, name: str, topic: TopicDescription, brokers: int) -> Iterator[Finding]:
        if topic.leaderless:
            text = f"{name}: {topic.leaderless} of {topic.partitions} partitions have no leader."
            yield Finding.failed(_TOPICS, text, "start the brokers that hold them.")
        elif topic.replicas == 1 and brokers > 1:
            text = f"{name}: a partition has only one replica, and is lost with its broker."
            yield Finding.warning(_TOPICS, text, "give it three replicas with kafka-reassign-partitions.sh.")

    def _replicas(self, name: str, topic: TopicDescription, minimum: int) -> Iterator[Finding]:
        """Compare the replicas with ``minimum``, the number that ``acks=all`` waits for."""
        setting = f"{name}: {_MIN_IN_SYNC} is {minimum} with replication factor {topic.replicas}"

        if minimum > topic.replicas:
            text = f"{setting}: nothing can be written."
            lower = {_MIN_IN_SYNC: str(max(1, topic.replicas - 1))}
            yield Finding.failed(_TOPICS, text, self._commands.set_config(name, lower))

        elif topic.in_sync < minimum and not topic.leaderless:
            text = f"{setting}, but a partition has {topic.in_sync} in sync: nothing can be written to it."
            yield Finding.failed(_TOPICS, text, "start the brokers that are down.")

        elif minimum == topic.replicas > 1:
            text = f"{setting}: nothing can be written while any broker is down."
            lower = {_MIN_IN_SYNC: str(minimum - 1)}
            yield Finding.warning(_TOPICS, text, self._commands.set_config(name, lower))

        elif minimum == 1 and topic.replicas > 2:  # noqa: PLR2004 - two replicas can promise no more
            text = f"{setting}: a record that only one broker acknowledged can be lost."
            yield Finding.warning(_TOPICS, text, self._commands.set_config(name, {_MIN_IN_SYNC: "2"}))

    def _settings(self, plan: TopicPlan, settings: Mapping[str, str]) -> Iterator[Finding]:
        differing = differing_settings(plan, settings)
        if differing:
            planned = {name: plan.settings[name] for name in differing}
            deviations = (f"{name} is {actual}, not {planned[name]}" for name, actual in differing.items())
            text = f"{plan.name}: {', '.join(deviations)}."
            yield Finding.warning(_TOPICS, text, self._commands.set_config(plan.name, planned))

    def _partitions(self, cluster: ClusterDescription) -> Iterator[Finding]:
        """Compare the partition counts of the inbound topics: workers get pairs of partitions."""
        inbound = [use.plan.name for use in self._uses if READ in use.required]
        topics = {name: cluster.topics.get(name) for name in inbound}
        counts = {name: topic.partitions for name, topic in topics.items() if topic and topic.partitions}

        for name, count in counts.items():
            largest = max(counts.values())
            if count < largest:
                text = f"{name} has {count} partitions, the other inbound topic {largest}: workers get uneven shares."
                yield Finding.warning(_TOPICS, text, self._commands.add_partitions(name, largest))

    def _topic_rights(self, cluster: ClusterDescription) -> Iterator[Finding]:
        for use in self._uses:
            name = use.plan.name
            topic = cluster.topics.get(name)
            if topic is None:
                continue

            if lacking := [right for right in use.required if right not in topic.rights]:
                text = f"{name}: not allowed to {' or '.join(lacking)}."
                yield Finding.failed(_RIGHTS, text, self._commands.allow("topic", name, lacking))

            if lacking := [right for right in use.optional if right not in topic.rights]:
                text = f"{name}: not allowed to {' or '.join(lacking)}. run does not need it, other commands do."
                yield Finding.warning(_RIGHTS, text, self._commands.allow("topic", name, lacking))

    def _group_rights(self, cluster: ClusterDescription) -> Iterator[Finding]:
        if READ not in cluster.groups[self._group_id].rights:
            fix = self._commands.allow("group", self._group_id, [READ])
            yield Finding.failed(_RIGHTS, f"group {self._group_id}: not allowed to {READ}.", fix)

        if READ not in cluster.groups[self._replay_group].rights:
            text = f"group {self._replay_group}: not allowed to {READ}. Only dlt needs it."
            yield Finding.warning(_RIGHTS, text, self._commands.allow("group", self._replay_group, [READ]))

    def _group(self, group: GroupDescription) -> Finding:
        if group.assignor not in _ASSIGNORS:
            text = f"other members of {self._group_id} assign partitions by {group.assignor}, we by range."
            return Finding.failed(_GROUP, text, "set SIGNIN_KAFKA__GROUP_ID to a name that nobody else uses.")

        members = {0: "no members", 1: "1 member"}.get(group.members, f"{group.members} members")
        return Finding.passed(_GROUP, f"{self._group_id} has {members}.")


class KafkaCommands:
    """The commands of Kafka's own tools that repair what a check finds."""

    def __init__(self, access: KafkaAccess) -> None:
        self._access = access

    def set_config(self, topic: str, settings: Mapping[str, str]) -> str:
        """Return the command that changes a topic's settings."""
        added = ",".join(f"{name}={value}" for name, value in settings.items())
        arguments = f"--alter --entity-type topics --entity-name {topic} --add-config {added}"
        return self._command("kafka-configs.sh", arguments)

    def add_partitions(self, topic: str, count: int) -> str:
        """Return the command that gives a topic so many partitions."""
        return self._command("kafka-topics.sh", f"--alter --topic {topic} --partitions {count}")

    def allow(self, kind: str, name: str, rights: Sequence[str]) -> str:
        """Return the command that grants us rights on a topic or a group."""
        operations = " ".join(f"--operation {right}" for right in rights)
        arguments = f"--add --allow-principal User:{self._principal()} {operations} --{kind} {name}"
        return self._command("kafka-acls.sh", arguments)

    def _principal(self) -> str:
        if self._access.username:
            return self._access.username
        return "CN=NAME" if self._access.certfile else "ANONYMOUS"

    def _command(self, script: str, arguments: str) -> str:
        """Return the call, with a file for the login unless the brokers need none."""
        needs_login = self._access.security_protocol != "PLAINTEXT"
        login = " --command-config admin.properties" if needs_login else ""
        return f"{script} --bootstrap-server {self._access.bootstrap_servers}{login} {arguments}"
