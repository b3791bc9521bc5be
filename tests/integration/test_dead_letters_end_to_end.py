"""An operator stops and repairs a bad deploy, with the real worker, commands and servers."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from consumers.ports import Partition, ReplayMark
from deploy.local.places import LOOPBACK, PROJECT, free_ports
from deploy.local.processes import Child
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.siteverify import passing_token
from deploy.local.servers.temporal import LocalTemporal
from deploy.local.topics import Topics
from deploy.local.waiting import eventually
from tests.fakes.inbound import request_data
from utils.kafka.access import KafkaAccess
from utils.kafka.dead_letters import KafkaReplayStore

SIGN_INS = 5
WITHIN_S = 60


class Operator:
    """Runs the worker and its commands, and looks at Kafka."""

    def __init__(self, child: Child, settings: dict[str, str], topics: Topics) -> None:
        self.child = child
        self.settings = settings
        self.topics = topics
        self._base = f"http://{LOOPBACK}:{settings['SIGNIN_HTTP__PORT']}"
        self._servers = settings["SIGNIN_KAFKA__BOOTSTRAP_SERVERS"]

    async def start(self, **different: str) -> None:
        """Start the worker with some other settings; return once it is ready."""
        self.child.start(
            [sys.executable, "-m", "signin_worker", "run"],
            self._environment() | different,
        )
        await eventually(self.is_ready, "ready", within_s=WITHIN_S)

    async def command(self, *arguments: str) -> str:
        """Run a command that succeeds; return what it prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "signin_worker", *arguments),
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(WITHIN_S):
            output, errors = await process.communicate()

        assert process.returncode == 0, errors.decode()

        return output.decode()

    async def is_ready(self) -> bool:
        """Tell whether the worker is ready."""
        return (await self._get("/readyz")).startswith('{"ready":true')

    async def is_halted(self) -> bool:
        """Tell whether readiness and metrics both say that a breaker is open."""
        return "halted" in await self._get("/readyz") and await self.metric("signin_consumer_breaker_open") == 1

    async def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels."""
        families = text_string_to_metric_families(await self._get("/metrics"))
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(each.value for each in samples if labels.items() <= each.labels.items())

    async def emit(self, values: list[dict[str, Any]]) -> None:
        """Emit requests."""
        async with AIOKafkaProducer(bootstrap_servers=self._servers) as producer:
            for value in values:
                await producer.send_and_wait(
                    self.topics.requested,
                    json.dumps(value).encode(),
                    value["signin_id"].encode(),
                )

    async def count(self, topic: str) -> int:
        """Return how many records a topic holds."""
        async with AIOKafkaConsumer(topic, bootstrap_servers=self._servers) as consumer:
            return sum((await consumer.end_offsets(consumer.assignment())).values())

    async def holds(self, topic: str, count: int) -> None:
        """Wait until a topic holds so many records."""

        async def is_there() -> bool:
            return await self.count(topic) >= count

        await eventually(is_there, f"{count} records on {topic}", within_s=WITHIN_S)

    async def results(self) -> list[tuple[str, str]]:
        """Return the type and the sign-in of every result."""
        partition = TopicPartition(self.topics.results, 0)
        async with AIOKafkaConsumer(bootstrap_servers=self._servers, auto_offset_reset="earliest") as consumer:
            consumer.assign([partition])
            count = (await consumer.end_offsets([partition]))[partition]
            records = [await consumer.getone() for _ in range(count)]
        return [(dict(record.headers)["ce_type"].decode(), record.key.decode()) for record in records]

    async def forget_replays(self) -> None:
        """Reset the replay mark, as an operator can, or as a crash before every save would leave it."""
        group = f"{self.topics.group_id}.dlt-replay"
        async with KafkaReplayStore(KafkaAccess(self._servers), group) as store:
            await store.save(Partition(self.topics.dead_letters[0], 0), ReplayMark(0, ""))

    async def _get(self, path: str) -> str:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(self._base + path)).text
        except httpx.TransportError:
            return ""

    def _environment(self) -> dict[str, str]:
        others = {name: value for name, value in os.environ.items() if not name.startswith(("SIGNIN_", "TEMPORAL_"))}
        return others | {"PYTHONPATH": str(PROJECT), "HOME": str(self.child.folder)} | self.settings


@pytest.fixture
def operator(worker_settings: dict[str, str], topics: Topics) -> Iterator[Operator]:
    """Give an operator of a worker that has everything it depends on."""
    settings = worker_settings | {
        "SIGNIN_HTTP__PORT": str(free_ports(1)[0]),
        "TEMPORAL_NAMESPACE": LocalTemporal.namespace,
    }
    child = Child("worker", grace_s=35)
    yield Operator(child, settings, topics)
    child.stop()


@pytest.mark.timeout(300)
async def test_a_bad_deploy_is_stopped_and_repaired(operator: Operator, mail_server: MailServer) -> None:
    """A worker with swapped topics is stopped by its breaker.

    Once repaired, replays send each person one mail.
    """
    topics = operator.topics
    requests = [request_data(n, email=f"p{n}@mail.example") for n in range(SIGN_INS)]

    for request in requests:
        request |= {
            "signin_id": secrets.token_urlsafe(16),
            "requested_at": datetime.now(UTC).isoformat(),
        }
        request["turnstile_token"] = passing_token(request["signin_id"])

    swapped = {
        "SIGNIN_KAFKA__REQUESTED_TOPIC": topics.submitted,
        "SIGNIN_KAFKA__SUBMITTED_TOPIC": topics.requested,
    }
    await operator.start(**swapped, SIGNIN_DEAD_LETTERS__BREAKER_PER_MINUTE="3")
    await operator.emit(requests)
    await eventually(operator.is_halted, "the breaker is open", within_s=WITHIN_S)

    assert await operator.count(topics.dead_letters[0]) == 3
    assert await operator.command("dlt", "resume") == "The consumer is resumed.\n"

    await operator.holds(topics.dead_letters[0], SIGN_INS)

    assert await operator.command("dlt", "resume") == "The consumer was not stopped: nothing to do.\n"
    assert await asyncio.to_thread(operator.child.end) == 0

    await operator.start()

    assert await operator.command("dlt", "replay") == f"put back: {SIGN_INS}\n"

    await operator.holds(topics.results, SIGN_INS)
    for request in requests:
        await mail_server.mail_to(request["email"], within_s=WITHIN_S)

    await operator.forget_replays()

    assert await operator.command("dlt", "replay") == f"put back: {SIGN_INS}\n"

    async def all_are_duplicates() -> bool:
        return await operator.metric("signin_consumer_records_total", outcome="duplicate") == SIGN_INS

    await eventually(all_are_duplicates, "every record is a duplicate", within_s=WITHIN_S)

    assert len(mail_server.mails) == SIGN_INS

    wanted = {("signin.code_sent", request["signin_id"]) for request in requests}

    assert sorted(await operator.results()) == sorted(wanted)
    assert await operator.count(topics.dead_letters[0]) == SIGN_INS
    assert await asyncio.to_thread(operator.child.end) == 0
