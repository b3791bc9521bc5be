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
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from deploy.local.places import LOOPBACK, free_ports
from deploy.local.servers.backends import Kafka
from deploy.local.servers.mail_server import MailServer, Reply
from deploy.local.servers.siteverify import passing_token
from deploy.local.topics import Topics
from deploy.local.waiting import eventually
from deploy.local.worker import LocalWorker, command
from schemas.status import Status, Trace
from utils.kafka.access import KafkaAccess
from utils.status import StatusReader
from utils.temporal.client import connect
from utils.temporal.trace import trace_sign_in
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


class Terminal:
    """Runs an operator's commands, and emits events."""

    def __init__(self, worker: LocalWorker, producer: AIOKafkaProducer, topics: Topics) -> None:
        self._worker = worker
        self._producer = producer
        self._topics = topics

    async def run(self, *arguments: str, **changed: str) -> tuple[int, str]:
        """Run a command; return its exit code and all that it prints."""
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

    async def request(self, signin_id: str, token: str, attempt: int = 1) -> None:
        """Request a code."""
        now = datetime.now(UTC).isoformat()
        event: dict[str, str | int] = {"signin_id": signin_id, "attempt": attempt, "email": ADA, "requested_at": now}
        event["turnstile_token"] = token
        await self._emit(self._topics.requested, signin_id, event)

    async def submit(self, signin_id: str, code: str) -> None:
        """Submit a code."""
        event: dict[str, str | int] = {"submission_id": uuid.uuid4().hex, "signin_id": signin_id, "email": ADA}
        event |= {"code": code, "submitted_at": datetime.now(UTC).isoformat()}
        await self._emit(self._topics.submitted, signin_id, event)

    async def _emit(self, topic: str, key: str, event: dict[str, str | int]) -> None:
        await self._producer.send_and_wait(topic, json.dumps(event).encode(), key.encode())

    async def trace(self, signin_id: str, mailbox: str | None = None) -> Trace:
        """Return the trace of a sign-in."""
        topics = (self._topics.requested, self._topics.submitted, self._topics.results)
        return await trace_sign_in(await self.temporal(), self._access, topics, signin_id, mailbox)

    async def has_succeeded(self, signin_id: str) -> bool:
        """Tell whether the trace ends with a success."""
        return (await self.trace(signin_id)).outcome == "signin.succeeded"

    async def has_event(self, signin_id: str, what: str) -> bool:
        """Tell whether the trace has such an event."""
        return what in {moment.what for moment in (await self.trace(signin_id)).moments}

    async def first_task(self, signin_id: str) -> tuple[bool, EventType.ValueType]:
        """Tell whether the answer to the start of attempt 1 carried its first task, and how that task ended."""
        handle = (await self.temporal()).get_workflow_handle(sign_in_workflow_id(signin_id, 1))
        started, _, _, ended, *_ = [event async for event in handle.fetch_history_events()]
        attributes = started.workflow_execution_started_event_attributes
        return attributes.eager_execution_accepted, ended.event_type

    def stop_worker(self) -> None:
        """Stop the worker."""
        self._worker.stop()

    async def status(self) -> Status:
        """Return the status."""
        settings = self._worker.settings
        page = self._worker.metrics_url.removesuffix("/metrics")
        queue = settings["SIGNIN_TEMPORAL__TASK_QUEUE"]
        return await StatusReader(
            self._access, self._topics.group_id, self._topics.inbound, self.temporal, queue, page
        ).read()

    async def temporal(self) -> Client:
        """Connect to Temporal with the worker's key."""
        name, _, key = self._worker.settings["SIGNIN_KEYS__PAYLOAD"].partition(":")
        return await connect({name: b64decode(key)}, environ=self._worker.settings)

    @property
    def _access(self) -> KafkaAccess:
        return KafkaAccess(self._worker.settings["SIGNIN_KAFKA__BOOTSTRAP_SERVERS"])


@pytest.fixture
async def terminal(kafka: Kafka, worker: LocalWorker, topics: Topics) -> AsyncIterator[Terminal]:
    """Give a terminal."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        yield Terminal(worker, producer, topics)


@pytest.mark.timeout(240)
async def test_a_trace_goes_from_the_request_to_the_result(
    terminal: Terminal, topics: Topics, mail_server: MailServer
) -> None:
    """It has records, checks, mail, tries and results in order, and no secret. The status agrees with it."""
    signin_id = uuid.uuid4().hex
    token = passing_token(signin_id)
    await terminal.request(signin_id, token)
    code = (await mail_server.mail_to(ADA, within_s=WITHIN_S)).code()
    await terminal.submit(signin_id, "87654321" if code != "87654321" else "12345678")
    await terminal.submit(signin_id, code)
    await eventually(lambda: terminal.has_succeeded(signin_id), "it has succeeded", within_s=WITHIN_S)

    trace = await terminal.trace(signin_id)

    assert (trace.masked, trace.outcome, trace.away) == ("a***@o***.example", "signin.succeeded", {})

    events = [moment.what for moment in trace.moments]
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

    assert [one for one in expected if one not in events] == []
    assert events.index("send_email_activity done") < events.index("decided otp.rejected") < events.index(expected[-1])

    places = [moment.what.partition(" on ")[2] for moment in trace.moments if " on " in moment.what]

    assert sorted(places) == sorted([topics.requested, *[topics.submitted] * 2, *[topics.results] * 3])

    _, as_json = await terminal.run("trace", signin_id, "--json")
    _, for_people = await terminal.run("trace", signin_id, "--email", ADA)

    assert Trace.model_validate_json(as_json) == trace

    for secret in (ADA, "ada@", code, "87654321", token, "seal"):
        assert secret not in as_json and secret not in for_people

    # Consumer and worker are one process. A task that came with the answer and reached no worker would have timed out.
    assert await terminal.first_task(signin_id) == (True, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)

    await _assert_status(terminal, topics)


async def _assert_status(terminal: Terminal, topics: Topics) -> None:
    async def is_idle() -> bool:
        return not any(one.lag for one in (await terminal.status()).partitions)

    await eventually(is_idle, "all is committed", within_s=WITHIN_S)
    status = await terminal.status()

    assert status.away == {}
    assert {(one.topic, one.partition) for one in status.partitions} == {
        (topic, number) for topic in (topics.requested, topics.submitted) for number in (0, 1)
    }
    assert status.workflows is not None and status.worker is not None
    assert status.workflows.by_status["sign_in_workflow"] == {"Completed": 1}
    assert status.worker.records["applied"] == 3
    assert status.worker.results["signin.succeeded"] == 1
    assert (status.worker.missing, status.worker.breaker_open) == ((), False)

    code, output = await terminal.run("status")

    assert code == 0 and "breaker closed" in output and "ada" not in output

    (nobody,) = free_ports(1)
    code, output = await terminal.run("status", TEMPORAL_ADDRESS=f"{LOOPBACK}:{nobody}", SIGNIN_HTTP__PORT=str(nobody))

    assert code == os.EX_UNAVAILABLE
    assert "Temporal does not answer" in output and "no worker answers" in output and f"{topics.requested}/0" in output


@pytest.mark.timeout(240)
async def test_a_trace_shows_what_went_wrong(terminal: Terminal, topics: Topics, mail_server: MailServer) -> None:
    """It shows a mail that was retried, an attempt that was refused, and an operator who terminated the mailbox.

    The status shows the age of a record that waits.
    """
    signin_id = uuid.uuid4().hex
    mail_server.script(ADA, Reply("451 later"))
    await terminal.request(signin_id, passing_token(signin_id))
    await mail_server.mail_to(ADA, within_s=WITHIN_S)
    await terminal.request(signin_id, "bad", attempt=2)
    await eventually(lambda: terminal.has_event(signin_id, "attempt refused"), "refused", within_s=WITHIN_S)
    trace = await terminal.trace(signin_id)

    assert trace.outcome is None and trace.mailbox is not None

    failed = [moment for moment in trace.moments if moment.what == "send_email_activity failed"]

    assert [dict(moment.details) for moment in failed] == [{"attempt": 1, "error": "MailUnavailable"}]

    refused = [moment for moment in trace.moments if moment.what == "decided signin.resend_refused"]

    assert [moment.details["reason"] for moment in refused] == ["challenge_failed"]

    await (await terminal.temporal()).get_workflow_handle(f"mailbox/{trace.mailbox}").terminate()

    assert await terminal.has_event(signin_id, "terminated by an operator")

    terminal.stop_worker()
    await terminal.request(uuid.uuid4().hex, "any")
    status = await terminal.status()

    assert sum(one.lag for one in status.partitions) == 1
    assert [one for one in status.partitions if one.oldest is not None and one.lag == 1]
    assert set(status.away) == {"worker"}


@pytest.mark.timeout(120)
async def test_an_unknown_sign_in_ends_with_66(terminal: Terminal) -> None:
    """An id or an address that is not valid ends with 64, and is not repeated."""
    code, output = await terminal.run("trace", "n" * 22)
    assert code == os.EX_NOINPUT and "knows this sign-in" in output
    code, _ = await terminal.run("trace", "short")
    assert code == os.EX_USAGE
    code, output = await terminal.run("trace", "n" * 22, "--email", "no-address")
    assert code == os.EX_USAGE and "no-address" not in output
