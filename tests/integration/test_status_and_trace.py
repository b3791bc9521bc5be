"""``status`` and ``trace`` against real servers and the real worker."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.backends import Kafka
from deploy.local.mail_server import MailServer
from deploy.local.places import LOOPBACK, free_ports
from deploy.local.siteverify import passing_token
from deploy.local.waiting import eventually
from deploy.local.worker import LocalWorker, command
from tests.conftest import Topics

ADA = "ada@ok.example"
WITHIN_S = 60


@pytest.fixture
async def worker(worker_settings: dict[str, str]) -> AsyncIterator[LocalWorker]:
    """Give the real worker."""
    (port,) = free_ports(1)
    worker = LocalWorker(worker_settings, port)
    await worker.start()
    yield worker
    worker.stop()


class Desk:
    """An operator's terminal, and an emitter."""

    def __init__(self, worker: LocalWorker, producer: AIOKafkaProducer, topics: Topics) -> None:
        self._worker = worker
        self._producer = producer
        self._topics = topics

    async def run(self, *arguments: str, **changed: str) -> tuple[int, str]:
        """Run a command; return its exit code and all that it said."""
        environment = self._worker.settings | {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd()} | changed
        process = await asyncio.create_subprocess_exec(
            *command(*arguments),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(WITHIN_S):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def ask(self, signin_id: str, token: str) -> None:
        """Ask for a code."""
        now = datetime.now(UTC).isoformat()
        event = {"signin_id": signin_id, "email": ADA, "requested_at": now, "turnstile_token": token}
        await self._emit(self._topics.requested, signin_id, event)

    async def type(self, signin_id: str, code: str) -> None:
        """Type a code."""
        event = {"submission_id": uuid.uuid4().hex, "signin_id": signin_id, "email": ADA, "code": code}
        await self._emit(self._topics.submitted, signin_id, event | {"submitted_at": datetime.now(UTC).isoformat()})

    async def _emit(self, topic: str, key: str, event: dict[str, str]) -> None:
        await self._producer.send_and_wait(topic, json.dumps(event).encode(), key.encode())

    async def has_succeeded(self, signin_id: str) -> bool:
        """Tell whether the story ends well."""
        code, said = await self.run("trace", signin_id, "--json")
        return code == 0 and json.loads(said)["outcome"] == "signin.succeeded"


@pytest.fixture
async def desk(kafka: Kafka, worker: LocalWorker, topics: Topics) -> AsyncIterator[Desk]:
    """Give one."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        yield Desk(worker, producer, topics)


@pytest.mark.timeout(240)
async def test_a_sign_in_is_told_from_its_record_to_its_result(
    desk: Desk, topics: Topics, mail_server: MailServer
) -> None:
    """Records, checks, mail, tries, results, in order; nothing that is secret. Then how everything stands."""
    signin_id = uuid.uuid4().hex
    token = passing_token(signin_id)
    await desk.ask(signin_id, token)
    code = (await mail_server.mail_to(ADA, within_s=WITHIN_S)).code()
    await desk.type(signin_id, "87654321" if code != "87654321" else "12345678")
    await desk.type(signin_id, code)
    await eventually(lambda: desk.has_succeeded(signin_id), "it has succeeded", within_s=WITHIN_S)

    _, as_json = await desk.run("trace", signin_id, "--json")
    _, for_people = await desk.run("trace", signin_id)
    story = json.loads(as_json)
    assert (story["masked"], story["outcome"]) == ("a***@o***.example", "signin.succeeded")
    told = [moment["what"] for moment in story["moments"]]
    expected = [
        "request taken",
        "verify_turnstile_activity done",
        "hand_over_activity done",
        "attempt handed over",
        "send_email_activity done",
        "published signin.code_sent",
        "code submitted",
        "decided otp.rejected",
        "decided signin.succeeded",
        "published signin.succeeded",
    ]
    assert [one for one in expected if one not in told] == []
    assert told.index("send_email_activity done") < told.index("decided otp.rejected") < told.index(expected[-1])
    places = [moment["what"].partition(" on ")[2] for moment in story["moments"] if " on " in moment["what"]]
    assert story["away"] == {}
    assert sorted(places) == sorted([topics.requested, *[topics.submitted] * 2, *[topics.results] * 3])
    for secret in (ADA, "ada@", code, "87654321", token, "seal"):
        assert secret not in as_json and secret not in for_people

    await _stands(desk, topics)


async def _stands(desk: Desk, topics: Topics) -> None:
    async def is_idle() -> bool:
        _, said = await desk.run("status", "--json")
        return not any(one["lag"] for one in json.loads(said)["partitions"])

    await eventually(is_idle, "all is committed", within_s=WITHIN_S)
    code, said = await desk.run("status", "--json")
    standing = json.loads(said)
    assert (code, standing["away"]) == (0, {})
    assert {(one["topic"], one["partition"]) for one in standing["partitions"]} == {
        (topic, number) for topic in (topics.requested, topics.submitted) for number in (0, 1)
    }
    assert standing["workflows"]["by_status"]["sign_in_workflow"] == {"Completed": 1}
    assert standing["worker"]["records"]["applied"] == 3
    assert standing["worker"]["results"]["signin.succeeded"] == 1
    assert (standing["worker"]["missing"], standing["worker"]["breaker_open"]) == ([], False)
    code, said = await desk.run("status")
    assert code == 0 and "breaker closed" in said and "ada" not in said
    (nobody,) = free_ports(1)
    code, said = await desk.run("status", TEMPORAL_ADDRESS=f"{LOOPBACK}:{nobody}", SIGNIN_HTTP__PORT=str(nobody))
    assert code == os.EX_UNAVAILABLE
    assert "Temporal does not answer" in said and "no worker answers" in said and f"{topics.requested}/0" in said


@pytest.mark.timeout(120)
async def test_what_nobody_knows_is_told(desk: Desk) -> None:
    """66, as for a dead letter that is gone; what is no id is 64."""
    code, said = await desk.run("trace", "n" * 22)
    assert code == os.EX_NOINPUT and "knows this sign-in" in said
    code, _ = await desk.run("trace", "short")
    assert code == os.EX_USAGE
    code, said = await desk.run("trace", "n" * 22, "--email", "no-address")
    assert code == os.EX_USAGE and "no-address" not in said
