"""What a check says of Kafka: topics, rights and the group, each with the command that repairs it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from utils.kafka.producers import KafkaAccess
from utils.kafka.metadata import DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE, GroupFacts, KafkaFacts, TopicFacts, look
from schemas.topics import is_dead_letter_topic
from utils.kafka.topics import TopicPlan, look_up_topics, settings_apart
from utils.cli.terminal import Finding

_LEAST_IN_SYNC: Final = "min.insync.replicas"
_ASSIGNORS: Final = ("", "range")
_TOPICS, _RIGHTS, _GROUP = "Kafka topics", "Kafka rights", "Kafka group"


@dataclass(frozen=True)
class TopicUse:
    """A topic as it should be, with what ``run`` does there, and what other commands do."""

    plan: TopicPlan
    needs: tuple[str, ...]
    helps: tuple[str, ...]


@dataclass(frozen=True)
class KafkaView:
    """What the brokers told. ``settings``: of the topics whose settings we may see."""

    facts: KafkaFacts
    settings: Mapping[str, Mapping[str, str]]


def topic_uses(plans: Sequence[TopicPlan], results: str) -> list[TopicUse]:
    """Return what is done where: ``dlt replay``, ``request`` and ``submit`` write what ``run`` reads."""
    return [_use(plan, plan.name == results) for plan in plans]


def _use(plan: TopicPlan, is_results: bool) -> TopicUse:
    if is_results:
        return TopicUse(plan, (DESCRIBE, WRITE), (DESCRIBE_CONFIGS,))
    if is_dead_letter_topic(plan.name):
        return TopicUse(plan, (DESCRIBE, WRITE), (READ, DESCRIBE_CONFIGS))
    return TopicUse(plan, (DESCRIBE, READ), (WRITE, DESCRIBE_CONFIGS))


class KafkaCheck:
    """Judges a view. ``access`` goes into the commands. ``replay_group`` is for ``dlt``."""

    def __init__(self, access: KafkaAccess, uses: Sequence[TopicUse], group_id: str, replay_group: str) -> None:
        self._access = access
        self._uses = uses
        self._group_id = group_id
        self._replay_group = replay_group

    async def findings_now(self) -> list[Finding]:
        """Ask the brokers, and judge what they tell; nothing is created. Raises ``KafkaUnavailable``."""
        topics = [use.plan.name for use in self._uses]
        facts = await look(self._access, topics, [self._group_id, self._replay_group])
        states = await look_up_topics(self._access, topics)
        return self.findings(KafkaView(facts, {name: state.settings for name, state in states.items()}))

    def findings(self, view: KafkaView) -> list[Finding]:
        """Return a line for what is well, and one for each thing that is not."""
        brokers = "1 broker" if view.facts.brokers == 1 else f"{view.facts.brokers} brokers"
        return [
            Finding("Kafka", True, f"{brokers} at {self._access.bootstrap_servers}."),
            *(list(self._topics(view)) or [Finding(_TOPICS, True, "all are there, and as planned.")]),
            *(list(self._rights(view.facts)) or [Finding(_RIGHTS, True, "all that is needed.")]),
            self._group(view.facts.groups[self._group_id]),
        ]

    def _topics(self, view: KafkaView) -> Iterator[Finding]:
        topics = view.facts.topics
        missing = [use.plan.name for use in self._uses if topics.get(use.plan.name) is None]
        if missing:
            text = f"these topics are missing: {', '.join(missing)}."
            yield Finding(_TOPICS, False, text, "signin-worker topics create")
        for use in self._uses:
            facts = topics.get(use.plan.name)
            if facts is not None and DESCRIBE in facts.rights:
                yield from self._topic(use.plan, facts, view)
        yield from self._pairs(topics)

    def _topic(self, plan: TopicPlan, facts: TopicFacts, view: KafkaView) -> Iterator[Finding]:
        if facts.leaderless:
            text = f"{plan.name}: {facts.leaderless} of {facts.partitions} partitions have no leader."
            yield Finding(_TOPICS, False, text, "start the brokers that hold them.")
        elif facts.replicas == 1 and view.facts.brokers > 1:
            text = f"{plan.name}: a partition has one replica, and is lost with its broker."
            yield Finding(_TOPICS, True, text, "give it three, by kafka-reassign-partitions.sh.")
        settings = view.settings.get(plan.name)
        if settings is not None:
            yield from self._copies(plan.name, facts, int(settings.get(_LEAST_IN_SYNC, 1)))
            yield from self._settings(plan, settings)

    def _copies(self, topic: str, facts: TopicFacts, least: int) -> Iterator[Finding]:
        """Tell whether ``acks=all`` can be had, and whether it is worth what it says."""
        held = f"{topic}: {_LEAST_IN_SYNC} is {least}"
        if least > facts.replicas:
            text = f"{held} with a replication of {facts.replicas}: nothing can be written."
            yield Finding(_TOPICS, False, text, self._alter(topic, {_LEAST_IN_SYNC: str(max(1, facts.replicas - 1))}))
        elif facts.in_sync < least and not facts.leaderless:
            text = f"{held}, and a partition has {facts.in_sync} in sync: nothing can be written there."
            yield Finding(_TOPICS, False, text, "start the brokers that are away.")
        elif least == facts.replicas > 1:
            text = f"{held} of {least}: without any one broker nothing can be written."
            yield Finding(_TOPICS, True, text, self._alter(topic, {_LEAST_IN_SYNC: str(least - 1)}))
        elif least == 1 and facts.replicas > 2:  # noqa: PLR2004 - a pair can promise no more
            text = f"{held} of {facts.replicas}: what one broker alone has acknowledged can be lost."
            yield Finding(_TOPICS, True, text, self._alter(topic, {_LEAST_IN_SYNC: "2"}))

    def _settings(self, plan: TopicPlan, settings: Mapping[str, str]) -> Iterator[Finding]:
        apart = settings_apart(plan, settings)
        if apart:
            told = ", ".join(f"{name} is {actual}, not {plan.settings[name]}" for name, actual in apart.items())
            wanted = {name: plan.settings[name] for name in apart}
            yield Finding(_TOPICS, True, f"{plan.name}: {told}.", self._alter(plan.name, wanted))

    def _pairs(self, topics: Mapping[str, TopicFacts | None]) -> Iterator[Finding]:
        """Tell inbound topics apart that have not equally many partitions: a worker gets pairs of them."""
        inbound = {use.plan.name: topics.get(use.plan.name) for use in self._uses if READ in use.needs}
        counts = {name: facts.partitions for name, facts in inbound.items() if facts is not None and facts.partitions}
        for name, count in counts.items():
            if count < (most := max(counts.values())):
                text = f"{name} has {count} partitions, the other inbound topic {most}: some workers get more to do."
                fix = self._tool("kafka-topics.sh", f"--alter --topic {name} --partitions {most}")
                yield Finding(_TOPICS, True, text, fix)

    def _rights(self, facts: KafkaFacts) -> Iterator[Finding]:
        for use in self._uses:
            topic, name = facts.topics.get(use.plan.name), use.plan.name
            if topic is None:
                continue
            if needed := [right for right in use.needs if right not in topic.rights]:
                yield Finding(
                    _RIGHTS, False, f"{name}: no {' and no '.join(needed)}.", self._allow("topic", name, needed)
                )
            if helpful := [right for right in use.helps if right not in topic.rights]:
                text = f"{name}: no {' and no '.join(helpful)}, which run does without and other commands need."
                yield Finding(_RIGHTS, True, text, self._allow("topic", name, helpful))
        if READ not in facts.groups[self._group_id].rights:
            fix = self._allow("group", self._group_id, [READ])
            yield Finding(_RIGHTS, False, f"group {self._group_id}: no {READ}.", fix)
        if READ not in facts.groups[self._replay_group].rights:
            text = f"group {self._replay_group}: no {READ}, which dlt needs."
            yield Finding(_RIGHTS, True, text, self._allow("group", self._replay_group, [READ]))

    def _group(self, group: GroupFacts) -> Finding:
        if group.assignor not in _ASSIGNORS:
            text = f"others are in {self._group_id}: they share partitions by {group.assignor}, we by range."
            return Finding(_GROUP, False, text, "set SIGNIN_KAFKA__GROUP_ID to a name that nobody else uses.")
        members = {0: "nobody", 1: "1 member"}.get(group.members, f"{group.members} members")
        return Finding(_GROUP, True, f"{self._group_id}: {members} in it.")

    def _alter(self, topic: str, settings: Mapping[str, str]) -> str:
        wanted = ",".join(f"{name}={value}" for name, value in settings.items())
        return self._tool(
            "kafka-configs.sh", f"--alter --entity-type topics --entity-name {topic} --add-config {wanted}"
        )

    def _allow(self, kind: str, name: str, rights: Sequence[str]) -> str:
        ours = self._access.username or ("CN=NAME" if self._access.certfile else "ANONYMOUS")
        operations = " ".join(f"--operation {right}" for right in rights)
        return self._tool("kafka-acls.sh", f"--add --allow-principal User:{ours} {operations} --{kind} {name}")

    def _tool(self, script: str, arguments: str) -> str:
        """Return a call of one of Kafka's own tools; a file with the login is beside it where there is one."""
        plain = self._access.security_protocol == "PLAINTEXT"
        login = "" if plain else " --command-config admin.properties"
        return f"{script} --bootstrap-server {self._access.bootstrap_servers}{login} {arguments}"
