"""``status`` and ``trace`` against real servers and the real worker."""

import asyncio
import json
import os
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer
from temporalio.client import Client

from deploy.local.servers.backends import Kafka
from deploy.local.servers.mail_server import MailServer, Reply
from deploy.local.places import LOOPBACK, free_ports
from deploy.local.servers.siteverify import passing_token
from deploy.local.waiting import eventually
from deploy.local.worker import LocalWorker, command
from schemas.status import Status, Trace
from deploy.local.topics import Topics
from utils.kafka.access import KafkaAccess
from utils.status import StatusReader
from utils.temporal.trace import trace_sign_in
from utils.temporal.client import connect
from workflows.names import sign_in_workflow_id

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

    async def ask(self, signin_id: str, token: str, attempt: int = 1) -> None:
        """Ask for a code."""
        now = datetime.now(UTC).isoformat()
        event: dict[str, str | int] = {"signin_id": signin_id, "attempt": attempt, "email": ADA, "requested_at": now}
        event["turnstile_token"] = token
        await self._emit(self._topics.requested, signin_id, event)

    async def type(self, signin_id: str, code: str) -> None:
        """Type a code."""
        event: dict[str, str | int] = {"submission_id": uuid.uuid4().hex, "signin_id": signin_id, "email": ADA}
        event |= {"code": code, "submitted_at": datetime.now(UTC).isoformat()}
        await self._emit(self._topics.submitted, signin_id, event)

    async def _emit(self, topic: str, key: str, event: dict[str, str | int]) -> None:
        await self._producer.send_and_wait(topic, json.dumps(event).encode(), key.encode())

    async def story(self, signin_id: str, mailbox: str | None = None) -> Trace:
        """Return what there is to tell."""
        topics = (self._topics.requested, self._topics.submitted, self._topics.results)
        return await trace_sign_in(await self.temporal(), self._access, topics, signin_id, mailbox)

    async def has_succeeded(self, signin_id: str) -> bool:
        """Tell whether the story ends well."""
        return (await self.story(signin_id)).outcome == "signin.succeeded"

    async def tells(self, signin_id: str, what: str) -> bool:
        """Tell whether the story has such a moment."""
        return what in {moment.what for moment in (await self.story(signin_id)).moments}

    async def came_with_its_start(self, signin_id: str) -> bool:
        """Tell whether the answer to the start of attempt 1 brought its first task."""
        handle = (await self.temporal()).get_workflow_handle(sign_in_workflow_id(signin_id, 1))
        async for event in handle.fetch_history_events():
            return event.workflow_execution_started_event_attributes.eager_execution_accepted
        return False

    def stop_worker(self) -> None:
        """End the worker."""
        self._worker.stop()

    async def standing(self) -> Status:
        """Return how everything stands."""
        settings, topics = self._worker.settings, (self._topics.requested, self._topics.submitted)
        page = self._worker.metrics_url.removesuffix("/metrics")
        queue = settings["SIGNIN_TEMPORAL__TASK_QUEUE"]
        return await StatusReader(self._access, self._topics.group_id, topics, self.temporal, queue, page).read()

    async def temporal(self) -> Client:
        """Connect with the worker's key."""
        name, _, key = self._worker.settings["SIGNIN_KEYS__PAYLOAD"].partition(":")
        return await connect({name: b64decode(key)}, environ=self._worker.settings)

    @property
    def _access(self) -> KafkaAccess:
        return KafkaAccess(self._worker.settings["SIGNIN_KAFKA__BOOTSTRAP_SERVERS"])


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

    story = await desk.story(signin_id)

    assert (story.masked, story.outcome, story.away) == ("a***@o***.example", "signin.succeeded", {})

    told = [moment.what for moment in story.moments]
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

    places = [moment.what.partition(" on ")[2] for moment in story.moments if " on " in moment.what]

    assert sorted(places) == sorted([topics.requested, *[topics.submitted] * 2, *[topics.results] * 3])

    _, as_json = await desk.run("trace", signin_id, "--json")
    _, for_people = await desk.run("trace", signin_id, "--email", ADA)

    assert Trace.model_validate_json(as_json) == story

    for secret in (ADA, "ada@", code, "87654321", token, "seal"):
        assert secret not in as_json and secret not in for_people

    assert await desk.came_with_its_start(signin_id)  # consumer and worker are one process

    await _stands(desk, topics)


async def _stands(desk: Desk, topics: Topics) -> None:
    async def is_idle() -> bool:
        return not any(one.lag for one in (await desk.standing()).partitions)

    await eventually(is_idle, "all is committed", within_s=WITHIN_S)
    standing = await desk.standing()

    assert standing.away == {}
    assert {(one.topic, one.partition) for one in standing.partitions} == {
        (topic, number) for topic in (topics.requested, topics.submitted) for number in (0, 1)
    }
    assert standing.workflows is not None and standing.worker is not None
    assert standing.workflows.by_status["sign_in_workflow"] == {"Completed": 1}
    assert standing.worker.records["applied"] == 3
    assert standing.worker.results["signin.succeeded"] == 1
    assert (standing.worker.missing, standing.worker.breaker_open) == ((), False)

    code, said = await desk.run("status")

    assert code == 0 and "breaker closed" in said and "ada" not in said

    (nobody,) = free_ports(1)
    code, said = await desk.run("status", TEMPORAL_ADDRESS=f"{LOOPBACK}:{nobody}", SIGNIN_HTTP__PORT=str(nobody))

    assert code == os.EX_UNAVAILABLE
    assert "Temporal does not answer" in said and "no worker answers" in said and f"{topics.requested}/0" in said


@pytest.mark.timeout(240)
async def test_a_sign_in_that_went_badly_is_told(desk: Desk, topics: Topics, mail_server: MailServer) -> None:
    """A mail that was tried again, an attempt that was refused, an operator who ended it; what waits has an age."""
    signin_id = uuid.uuid4().hex
    mail_server.script(ADA, Reply("451 later"))
    await desk.ask(signin_id, passing_token(signin_id))
    await mail_server.mail_to(ADA, within_s=WITHIN_S)
    await desk.ask(signin_id, "bad", attempt=2)
    await eventually(lambda: desk.tells(signin_id, "attempt refused"), "refused", within_s=WITHIN_S)
    story = await desk.story(signin_id)

    assert story.outcome is None and story.mailbox is not None

    failed = [moment for moment in story.moments if moment.what == "send_email_activity failed"]

    assert [dict(moment.details) for moment in failed] == [{"attempt": 1, "error": "MailUnavailable"}]

    refused = [moment for moment in story.moments if moment.what == "decided signin.resend_refused"]

    assert [moment.details["reason"] for moment in refused] == ["challenge_failed"]

    await (await desk.temporal()).get_workflow_handle(f"mailbox/{story.mailbox}").terminate()

    assert await desk.tells(signin_id, "terminated by an operator")

    desk.stop_worker()
    await desk.ask(uuid.uuid4().hex, "any")
    standing = await desk.standing()

    assert sum(one.lag for one in standing.partitions) == 1
    assert [one for one in standing.partitions if one.oldest is not None and one.lag == 1]
    assert set(standing.away) == {"worker"}


@pytest.mark.timeout(120)
async def test_what_nobody_knows_is_told(desk: Desk) -> None:
    """66, as for a dead letter that is gone; what is no id is 64."""
    code, said = await desk.run("trace", "n" * 22)
    assert code == os.EX_NOINPUT and "knows this sign-in" in said
    code, _ = await desk.run("trace", "short")
    assert code == os.EX_USAGE
    code, said = await desk.run("trace", "n" * 22, "--email", "no-address")
    assert code == os.EX_USAGE and "no-address" not in said
