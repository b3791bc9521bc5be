"""What an operator must repair in Kafka, kept up to date."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from consumers.ports import KafkaMisconfigured, KafkaUnavailable
from tests.fakes.waiting import until
from utils.kafka import watch as watch_module
from utils.kafka.access import KafkaAccess
from utils.kafka.metadata import READ, ClusterDescription, GroupDescription, TopicDescription
from utils.kafka.needs import KafkaNeeds, find_problems
from utils.kafka.watch import KafkaWatch

NEEDS = KafkaNeeds({"in": READ}, "g")
Answer = list[str] | Exception


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> deque[Answer]:
    """Give the queue of what the look-ups find. The last answer repeats."""
    queue: deque[Answer] = deque()

    async def find(*_: object) -> list[str]:
        answer = queue.popleft() if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(watch_module, "find_problems", find)
    return queue


@asynccontextmanager
async def watching() -> AsyncIterator[KafkaWatch]:
    """Give a watch that looks all the time."""
    watch = KafkaWatch(KafkaAccess("b:9092"), NEEDS, soon_s=0.001, later_s=0.001)
    running = asyncio.create_task(watch.run())
    yield watch
    watch.stop()
    await running


async def test_problems_come_and_go(answers: deque[Answer], caplog: pytest.LogCaptureFixture) -> None:
    """Each change is logged once."""
    answers += [["no topic"], ["no topic"], ["no right"], []]

    with caplog.at_level(logging.INFO):
        async with watching() as watch:
            assert not watch.has_answered
            await until(lambda: len(answers) == 1)
            await until(lambda: watch.has_answered and not watch.problems)

    assert [vars(line).get("problems") for line in caplog.records] == [["no topic"], ["no right"], None]


async def test_an_outage_changes_nothing(answers: deque[Answer]) -> None:
    """What Kafka said last stands."""
    answers += [["no topic"], KafkaUnavailable()]

    async with watching() as watch:
        await until(lambda: len(answers) == 1)
        assert watch.problems == ["Kafka: no topic"]


async def test_a_refused_login_is_a_problem(answers: deque[Answer]) -> None:
    """Kafka is not reached then, and the reason is known."""
    answers.append(KafkaMisconfigured("wrong password"))

    async with watching() as watch:
        await until(lambda: watch.problems == ["Kafka: wrong password"])
        assert not watch.has_answered


async def test_what_the_consumer_is_refused_is_a_problem(answers: deque[Answer]) -> None:
    """Brokers need not tell rights in advance."""
    answers.append([])
    refusal: list[str | None] = [None]

    async with watching() as watch:
        watch.add(lambda: refusal[0])
        await until(lambda: watch.has_answered)
        assert watch.problems == []

        refusal[0] = "no right"
        assert watch.problems == ["Kafka: no right"]


async def test_a_watch_stops_while_it_waits_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka may take half a minute to answer."""

    async def find(*_: object) -> list[str]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(watch_module, "find_problems", find)

    async with asyncio.timeout(5), watching():
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("topic", "group_rights", "problems"),
    [
        (TopicDescription(1, rights=frozenset({READ})), {READ}, []),
        (None, {READ}, ["these topics are missing: in. Run signin-worker topics create."]),
        (TopicDescription(1), {READ}, ["in: not allowed to Read. Run signin-worker check."]),
        (
            TopicDescription(1, rights=frozenset({READ})),
            set(),
            ["group g: not allowed to Read. Run signin-worker check."],
        ),
    ],
    ids=["all is well", "no topic", "no right on the topic", "no right on the group"],
)
async def test_each_problem_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, topic: TopicDescription | None, group_rights: set[str], problems: list[str]
) -> None:
    """A topic that we may not see counts as there: the right is what is missing."""

    async def describe(*_: object) -> ClusterDescription:
        return ClusterDescription(1, {"in": topic}, {"g": GroupDescription(rights=frozenset(group_rights))})

    monkeypatch.setattr("utils.kafka.needs.describe_cluster", describe)
    assert await find_problems(KafkaAccess("b:9092"), NEEDS) == problems
