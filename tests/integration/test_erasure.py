"""What Temporal holds about a mailbox is erased on a real server."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from activities.addresses import parse_address
from activities.errors import TemporalUnavailable
from deploy.local.places import free_ports
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.siteverify import passing_token
from deploy.local.waiting import eventually
from deploy.local.worker import LocalWorker, command
from tests.fakes.stage import ADA, Stage
from tests.fakes.waiting import until
from utils.temporal.client import connect, data_converter
from utils.temporal.erasure import Holdings, StoredRun, TemporalErasure

BOB = "bob@example.com"
OK_ADA = "ada@ok.example"
A_DAY = timedelta(days=1)
WITHIN_S = 150


@pytest.fixture
async def stage(temporal_client: Client) -> AsyncIterator[Stage]:
    """Give both workflows running on a real server, with encrypted payloads."""
    config = temporal_client.config() | {"data_converter": data_converter({"k": b"k" * 32})}

    async def now() -> datetime:
        return datetime.now(UTC)

    async with Stage(Client(**config), now).working() as stage:
        yield stage


def mailbox(stage: Stage, email: str = ADA) -> str:
    """Return the pseudonym of a mailbox."""
    return stage.mailbox_id(email).split("/")[1]


async def listed(stage: Stage, *kinds: str) -> Holdings:
    """Return what is found of Ada, once the server lists as many runs as ``kinds``: its visibility store lags."""
    erasure = TemporalErasure(stage.client)

    async def shows_all() -> bool:
        return sorted(run.kind for run in (await erasure.find(mailbox(stage))).runs) == sorted(kinds)

    await eventually(shows_all, f"{kinds} are listed", within_s=20)
    return await erasure.find(mailbox(stage))


def kept_ids(holdings: Holdings, now: datetime, horizon: timedelta = A_DAY) -> set[str]:
    """Return the ids of the workflows that stay."""
    return {run.workflow_id.partition("/")[0] for run in holdings.kept(now, horizon)}


def only(kind: str, runs: tuple[StoredRun, ...]) -> StoredRun:
    """Return the one run of a kind."""
    [run] = [each for each in runs if each.kind == kind]
    return run


async def test_nothing_that_protects_somebody_goes_before_its_time(stage: Stage) -> None:
    """An open mailbox stays, and so does a request until its record can no longer be decided again."""
    await stage.open_sign_in()
    holdings = await listed(stage, "request", "mailbox")
    now = datetime.now(UTC)

    assert kept_ids(holdings, now) == {"signin", "mailbox"}
    assert kept_ids(holdings, now + A_DAY) == {"mailbox"}

    await stage.mailbox().terminate()

    async def is_closed() -> bool:
        return not only("mailbox", (await listed(stage, "request", "mailbox")).runs).is_open

    await eventually(is_closed, "the mailbox is listed as closed", within_s=20)
    holdings = await listed(stage, "request", "mailbox")

    assert kept_ids(holdings, now) == {"signin", "mailbox"}, "the mailbox's history still names a request that stays"
    assert kept_ids(holdings, now + A_DAY) == set()


async def test_all_of_a_mailbox_goes_and_nothing_of_others(stage: Stage) -> None:
    """Runs and requests of each spelling of the address are gone, that of somebody else works on."""
    signin_id = await stage.open_sign_in()
    resend = await stage.request(signin_id, attempt=2)
    tagged = await stage.request(email="Ada+news@example.com")
    others = await stage.request(email=BOB)
    for handle in (resend, tagged, others):
        await handle.result()

    holdings = await listed(stage, "request", "request", "request", "mailbox")
    assert await TemporalErasure(stage.client).delete(holdings.runs) == ()

    assert (await listed(stage)).runs == ()

    for handle in (stage.client.get_workflow_handle(f"signin/{signin_id}/1"), resend, tagged, stage.mailbox()):
        with pytest.raises(RPCError, match="workflow not found"):
            await handle.describe()

    await others.describe()
    await stage.mailbox(BOB).describe()

    again = await stage.open_sign_in()
    await stage.submit(again, stage.code())
    await until(lambda: stage.outcomes(again)[-1] == "signin.succeeded")


async def test_a_submission_deletes_nobody_elses_request(stage: Stage) -> None:
    """Whoever submits a code names any sign-in they like. Only what our workflows passed on counts."""
    bobs = await stage.request(email=BOB)
    await bobs.result()
    await stage.submit(bobs.id.split("/")[1], "12345678", email=ADA)

    holdings = await listed(stage, "mailbox")

    assert holdings.runs[0].sign_ins == frozenset()


async def test_a_request_that_never_reached_the_mailbox_is_found_by_a_search(stage: Stage) -> None:
    """It names the mailbox nowhere; only its encrypted input has the address."""
    rejected = await stage.request(token="bad")
    assert (await rejected.result()).status == "rejected"
    bobs = await stage.request(email=BOB, token="bad")
    await bobs.result()
    erasure = TemporalErasure(stage.client)

    def is_adas(email: str) -> bool:
        address = parse_address(email)
        return address is not None and stage.pseudonyms.mailbox(address) == mailbox(stage)

    async def finds_it() -> bool:
        found = await erasure.find(mailbox(stage), is_adas)
        return rejected.id in {run.workflow_id for run in found.runs}

    await eventually(finds_it, "the request is found", within_s=20)

    assert (await erasure.find(mailbox(stage))).runs == ()
    assert bobs.id not in {run.workflow_id for run in (await erasure.find(mailbox(stage), is_adas)).runs}


async def test_runs_under_a_dropped_key_are_counted_and_can_be_deleted(stage: Stage) -> None:
    """Their sign-ins cannot be read, so the report says how many they are."""
    await stage.open_sign_in()
    await listed(stage, "request", "mailbox")
    config = stage.client.config() | {"data_converter": data_converter({"new": b"n" * 32})}
    erasure = TemporalErasure(Client(**config))

    holdings = await erasure.find(mailbox(stage))

    assert (holdings.unreadable, [run.kind for run in holdings.runs]) == (1, ["mailbox"])
    assert holdings.kept(datetime.now(UTC) + A_DAY, A_DAY) == holdings.runs

    await erasure.delete(holdings.runs)

    assert (await erasure.find(mailbox(stage))).unreadable == 0


async def test_a_signal_that_nobody_can_have_written_names_nothing(stage: Stage) -> None:
    """An operator's typing error does not stop the search, and finds no request."""
    await stage.open_sign_in()
    await stage.mailbox().signal("open_or_resend", {"signin_id": "' OR WorkflowId != '"})
    await stage.mailbox().signal("reject")
    await stage.mailbox().signal("reject", None)

    holdings = await listed(stage, "request", "mailbox")

    assert len(only("mailbox", holdings.runs).sign_ins) == 1


async def test_a_server_that_does_not_answer_is_an_error() -> None:
    """It does not look like a mailbox of which there is nothing."""
    nowhere = await connect({"k": b"k" * 32}, environ={"TEMPORAL_ADDRESS": "127.0.0.1:1"}, lazy=True)
    run = StoredRun("mailbox", "mailbox/nobody", str(uuid.uuid4()), True, datetime.now(UTC))

    with pytest.raises(TemporalUnavailable):
        await TemporalErasure(nowhere).find("nobody")
    with pytest.raises(TemporalUnavailable):
        await TemporalErasure(nowhere).delete([run])


async def run(settings: dict[str, str], *arguments: str, typed: str = "") -> tuple[int, str, str]:
    """Run an operator's command; return its exit code, what it prints, and its log."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        env=settings | {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd()},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WITHIN_S):
        output, errors = await process.communicate(typed.encode())

    return process.returncode or 0, output.decode(), errors.decode()


@pytest.mark.timeout(400)
async def test_an_operator_forgets_a_person(worker_settings: dict[str, str], mail_server: MailServer) -> None:
    """Right after a sign-in everything protects somebody and stays. With ``--now`` it goes, and the limits with it."""
    (port,) = free_ports(1)
    worker = LocalWorker(worker_settings, port)
    await worker.start()
    signin_id = uuid.uuid4().hex

    try:
        await run(worker.settings, "request", OK_ADA, "--signin-id", signin_id, "--token", passing_token(signin_id))
        await mail_server.mail_to(OK_ADA, within_s=60)

        async def stays() -> bool:
            code, output, _ = await run(worker.settings, "forget", OK_ADA, "--json")
            return code == os.EX_TEMPFAIL and json.loads(output)["kept"] == {"request": 1, "mailbox": 1}

        await eventually(stays, "both workflows are listed, and stay", within_s=60)
        code, output, log = await run(worker.settings, "forget", "-", "--yes", "--now", typed=f"{OK_ADA}\n")
        workers_log = worker.process.log.read_text()
        _, left, _ = await run(worker.settings, "limits", "show", OK_ADA, "--json")
        gone, _, _ = await run(worker.settings, "forget", OK_ADA, "--json")
    finally:
        worker.stop()

    assert code == 0
    assert "deleted: 1 requests, 1 runs of the mailbox" in output
    assert "Kafka, signin.requested" not in output, "the topics are those of the settings"
    assert worker.settings["SIGNIN_KAFKA__REQUESTED_TOPIC"] in output
    assert json.loads(left)["budgets"] == []
    assert gone == 0

    audited = [json.loads(line) for line in log.splitlines() if "sensitive_delete" in line]

    assert [line["limits_lost"] for line in audited] == [True]

    cleared = [json.loads(line) for line in workers_log.splitlines() if "limits_cleared" in line]

    assert [(line["masked_address"], line["mails"], line["failures"]) for line in cleared] == [
        ("a***@o***.example", True, True)
    ]
    assert OK_ADA not in output + log and "ada@" not in output + log
