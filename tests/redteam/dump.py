"""Everything that is stored or shown, as an attacker with access would copy it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowExecution, WorkflowHandle

from tests.faults.evidence import read_topic
from tests.redteam.scene import Scene


@dataclass
class Corpus:
    """The contents of one place: the number of things and their bytes. ``opened``: decrypted with the payload key."""

    place: str
    things: int
    blobs: list[bytes] = field(repr=False)
    opened: bool = False

    @property
    def size(self) -> int:
        """The total number of bytes."""
        return sum(map(len, self.blobs))


async def dump(scene: Scene) -> list[Corpus]:
    """Copy Temporal, its database, Kafka, the log and the metrics; not the inbound topics and dead letters' values."""
    histories = await _histories(scene)
    return [
        *histories,
        await _results(scene),
        await _dead_letters(scene),
        _log(scene),
        await _metrics(scene),
        _database(scene),
    ]


async def _histories(scene: Scene) -> list[Corpus]:
    """Return what Temporal stores of each workflow: its listing, its raw history, and its decrypted payloads."""
    temporal = scene.stage.temporal
    executions = [one async for one in temporal.list_workflows(scene.stage.topics.workflows)]
    events = [event for one in executions for event in await _events(scene, one)]
    raw = [event.SerializeToString() for event in events]
    codec = temporal.data_converter.payload_codec
    assert codec is not None

    payloads = [payload for event in events for payload in _payloads(event)]
    opened = [payload.SerializeToString() for payload in await codec.decode(payloads)]

    return [
        Corpus(
            "workflows as listed",
            len(executions),
            [one.raw_info.SerializeToString() for one in executions],
        ),
        Corpus("histories", len(executions), raw),
        Corpus("payloads of the histories, decrypted", len(payloads), opened, opened=True),
    ]


async def _events(scene: Scene, run: WorkflowExecution) -> list[HistoryEvent]:
    handle = scene.stage.temporal.get_workflow_handle(run.id, run_id=run.run_id)
    return [event async for event in handle.fetch_history_events()]


def _payloads(message: Message) -> Iterator[Payload]:
    """Yield all payloads in a message, at any depth."""
    if isinstance(message, Payload):
        yield message
        return

    for _, value in message.ListFields():
        for inner in _members(value):
            yield from _payloads(inner)


def _members(value: Any) -> Iterable[Message]:
    if isinstance(value, Message):
        return [value]
    if hasattr(value, "values"):
        return [inner for inner in value.values() if isinstance(inner, Message)]
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [inner for inner in value if isinstance(inner, Message)]
    return []


async def _results(scene: Scene) -> Corpus:
    records = await read_topic(scene.stage.bootstrap_servers, scene.stage.topics.results)
    blobs = [_bytes_of(record) for record in records]
    return Corpus("results: keys, values, headers", len(records), blobs)


def _bytes_of(record: Any) -> bytes:
    return b"\n".join([record.key or b"", record.value or b"", *_headers(record, "")])


async def _dead_letters(scene: Scene) -> Corpus:
    """Return the headers that the worker added. Key, value and the other headers are the original record's."""
    stage = scene.stage
    topics = [await read_topic(stage.bootstrap_servers, topic) for topic in stage.topics.dead_letters]
    headers = [b"\n".join(_headers(record, "dlt-")) for records in topics for record in records]
    return Corpus("headers of dead letters", len(headers), headers)


def _headers(record: Any, prefix: str) -> list[bytes]:
    return [name.encode() + b": " + (value or b"") for name, value in record.headers if name.startswith(prefix)]


def _log(scene: Scene) -> Corpus:
    lines = [line for worker in scene.stage.workers for line in worker.process.log.read_bytes().splitlines()]
    return Corpus("the worker's log, at level debug", len(lines), [b"\n".join(lines)])


async def _metrics(scene: Scene) -> Corpus:
    async with httpx.AsyncClient(trust_env=False) as client:
        page = (await client.get(scene.worker.metrics_url)).content
    return Corpus("/metrics", len(page.splitlines()), [page])


def _database(scene: Scene) -> Corpus:
    """Return the files of Temporal's own database, which holds tasks and more besides the histories."""
    (server,) = scene.servers.temporal.processes
    files = sorted(server.folder.glob("temporal.db*"))
    return Corpus("files of Temporal's database", len(files), [file.read_bytes() for file in files])


async def compares_in_histories(scene: Scene, address: str) -> int:
    """Return how many compares of codes the histories of a mailbox hold, those of all its runs together."""
    codec = scene.stage.temporal.data_converter.payload_codec
    assert codec is not None

    runs = await mailbox_runs(scene, address)
    events = [event for run in runs async for event in run.fetch_history_events()]
    names = [event.activity_task_scheduled_event_attributes.activity_type.name for event in events]
    markers = [payload for event in events for payload in _payloads(event.marker_recorded_event_attributes)]
    local = [b'"activity_type":"verify_otp_activity"' in payload.data for payload in await codec.decode(markers)]
    return sum(local) + names.count("verify_otp_activity")


async def mailbox_runs(scene: Scene, address: str) -> list[WorkflowHandle[Any, Any]]:
    """Return the runs of a mailbox."""
    temporal = scene.stage.temporal
    workflow_id = f"mailbox/{scene.stage.mailbox_pseudonym(address)}"
    listed = temporal.list_workflows(f"WorkflowId = '{workflow_id}'")
    return [temporal.get_workflow_handle(run.id, run_id=run.run_id) async for run in listed]
