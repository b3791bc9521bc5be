"""Collects the evidence from Kafka, Temporal and the mail server. The worker itself is never asked."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecution

from deploy.local.servers.mail_server import MailServer
from deploy.local.topics import Topics
from schemas.signals import Submission
from tests.faults.ledger import DeadLetter, Evidence, Mail, ResultRecord
from workflows.names import SUBMIT_SIGNAL

_SIGN_IN_ID: Final = re.compile(r"signin/([^/]+)/(\d+)")
_MAX_AT_ONCE: Final = 8


async def collect(bootstrap_servers: str, temporal: Client, topics: Topics, mail_server: MailServer) -> Evidence:
    """Return the evidence of all servers."""
    executions = [one async for one in temporal.list_workflows(topics.workflows)]
    dead = [await read_topic(bootstrap_servers, topic) for topic in topics.dead_letters]

    return Evidence(
        starts=_starts(executions),
        signals=await _signals(temporal, executions),
        dead=[_dead_letter(record) for records in dead for record in records],
        results=await read_results(bootstrap_servers, topics.results),
        committed=await committed_offsets(bootstrap_servers, topics),
        ends=await end_offsets(bootstrap_servers, topics),
        mails=[_mail(mail) for mail in mail_server.mails if mail.accepted],
    )


async def starts(temporal: Client, topics: Topics) -> Mapping[tuple[str, int], Sequence[float]]:
    """Return the start times (epoch, seconds) of all requests' workflows, by sign-in and attempt."""
    return _starts([one async for one in temporal.list_workflows(topics.workflows)])


async def committed_offsets(bootstrap_servers: str, topics: Topics) -> Mapping[tuple[str, int], int]:
    """Return the group's committed offsets."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(topics.group_id)
    finally:
        await admin.close()
    return {(place.topic, place.partition): known.offset for place, known in offsets.items() if known.offset >= 0}


async def end_offsets(bootstrap_servers: str, topics: Topics) -> Mapping[tuple[str, int], int]:
    """Return the end offsets of the inbound partitions that are not empty."""
    return {place: offset for place, offset in (await ends_of(bootstrap_servers, *topics.inbound)).items() if offset}


async def ends_of(bootstrap_servers: str, *topics: str) -> Mapping[tuple[str, int], int]:
    """Return the end offsets of all partitions of some topics."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
    await reader.start()
    try:
        places = await _partitions(reader, *topics)
        offsets = await reader.end_offsets(places)
    finally:
        await reader.stop()

    return {(place.topic, place.partition): offset for place, offset in offsets.items()}


async def read_topic(bootstrap_servers: str, topic: str) -> list[Any]:
    """Return all records of a topic, partition by partition."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, max_partition_fetch_bytes=8 * 1024 * 1024)
    await reader.start()
    try:
        places = await _partitions(reader, topic)
        reader.assign(places)
        await reader.seek_to_beginning()
        offsets = await reader.end_offsets(places)
        records: list[Any] = []
        while any([await reader.position(place) < offset for place, offset in offsets.items()]):
            for batch in (await reader.getmany(timeout_ms=500)).values():
                records += batch
    finally:
        await reader.stop()

    return records


async def read_results(bootstrap_servers: str, topic: str) -> list[ResultRecord]:
    """Return all results, repeats included."""
    return [_result(record) for record in await read_topic(bootstrap_servers, topic)]


async def _partitions(reader: Any, *topics: str) -> list[TopicPartition]:
    places = []
    for topic in topics:
        while not (numbers := reader.partitions_for_topic(topic)):
            await reader._client.force_metadata_update()
            reader._client.add_topic(topic)
            await asyncio.sleep(0.1)
        places += [TopicPartition(topic, number) for number in sorted(numbers)]

    return places


def _starts(executions: Sequence[WorkflowExecution]) -> dict[tuple[str, int], list[float]]:
    starts = defaultdict[tuple[str, int], list[float]](list)
    for one in executions:
        if match := _SIGN_IN_ID.fullmatch(one.id):
            starts[match[1], int(match[2])].append(one.start_time.timestamp())
    return dict(starts)


async def _signals(temporal: Client, executions: Sequence[WorkflowExecution]) -> list[list[str]]:
    """Return the submission ids signalled to each mailbox, over all of its runs."""
    runs = defaultdict[str, list[WorkflowExecution]](list)
    for one in sorted(executions, key=lambda one: one.start_time):
        if one.id.startswith("mailbox/"):
            runs[one.id].append(one)

    slots = asyncio.Semaphore(_MAX_AT_ONCE)

    async def signals(mailbox_runs: list[WorkflowExecution]) -> list[str]:
        async with slots:
            return [submission for run in mailbox_runs for submission in await signals_of_run(temporal, run)]

    return await asyncio.gather(*map(signals, runs.values()))


async def signals_of_run(temporal: Client, run: WorkflowExecution) -> list[str]:
    """Return the submission ids signalled to a run of a mailbox, in order."""
    handle = temporal.get_workflow_handle(run.id, run_id=run.run_id)
    payloads: list[Payload] = []
    async for event in handle.fetch_history_events():
        if event.event_type is EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            signal = event.workflow_execution_signaled_event_attributes
            if signal.signal_name == SUBMIT_SIGNAL:
                payloads += signal.input.payloads

    hints: list[type] = [Submission] * len(payloads)
    submissions = await temporal.data_converter.decode(payloads, hints) if payloads else []

    return [submission.submission_id for submission in submissions]


def _result(record: Any) -> ResultRecord:
    headers = dict(record.headers)
    value = json.loads(record.value)
    parts = [headers["ce_type"].decode(), value.get("reason")]
    parts += [f"({value['attempts_left']} left)"] if "attempts_left" in value else []

    return ResultRecord(
        event_id=headers["ce_id"].decode(),
        kind=" ".join(part for part in parts if part),
        signin_id=value["signin_id"],
        value=record.value,
        headers=tuple(record.headers),
        submission_id=value.get("submission_id"),
    )


def _dead_letter(record: Any) -> DeadLetter:
    headers = {name: value.decode() for name, value in record.headers if name.startswith("dlt-")}
    origin = (headers["dlt-topic"], int(headers["dlt-partition"]), int(headers["dlt-offset"]))
    return DeadLetter(origin, record.key, record.value, tuple(record.headers))


def _mail(mail: Any) -> Mail:
    return Mail(mail.recipients[0], str(mail.message["Message-ID"]), mail.code())
