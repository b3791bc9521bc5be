"""Continue-as-new of a mailbox.

On a real server, since the time-skipping one loses signals that arrive meanwhile.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from temporalio.client import Client

from activities.errors import PublishUnavailable
from schemas.policy import Policy
from tests.fakes.stage import Stage
from tests.fakes.waiting import until
from workflows.rules.outbox import MAX_CARRIED_RESULTS
from workflows.rules.submissions import MAX_WAITING


async def has_new_run(stage: Stage, run_id: str | None) -> bool:
    """Tell whether a run other than ``run_id`` serves the mailbox."""
    return (await stage.mailbox().describe()).run_id != run_id


async def eventually(condition: Callable[[], Awaitable[bool]], deadline_s: float = 15) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(deadline_s):
        while not await condition():
            await asyncio.sleep(0.05)


async def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


async def test_a_thousand_submissions_at_once_get_five_compares(
    temporal_client: Client,
) -> None:
    """Tries are charged before the compare, also across new runs (SECURITY S3)."""
    async with Stage(temporal_client, now).working() as stage:
        signin_id = await stage.open_sign_in()
        slots = asyncio.Semaphore(20)

        async def submit() -> None:
            async with slots:
                await stage.submit(signin_id, "wrong")

        await asyncio.gather(*(submit() for _ in range(1_000)))
        await until(lambda: "signin.failed too_many_attempts" in stage.outcomes(signin_id), 30)
        events = [event for event in stage.publisher.published if event.result.signin_id == signin_id]
        values = {(event.event_id, event.value()) for event in events}

        assert len(values) == len({event_id for event_id, _ in values}) == 7
        assert sorted(set(stage.outcomes(signin_id))) == [
            "otp.rejected wrong_code",
            "signin.code_sent",
            "signin.failed too_many_attempts",
        ]


async def test_budgets_survive_a_new_run(temporal_client: Client) -> None:
    """A new run knows all tries, and does not send the mail again (SECURITY S4)."""
    policy = Policy(signals_per_run=3)
    async with Stage(temporal_client, now, policy).working() as stage:
        signin_id = await stage.open_sign_in()
        run_ids = set()
        for _ in range(5):
            submission_id = uuid.uuid4().hex
            for _ in range(3):
                await stage.submit(signin_id, "wrong", submission_id=submission_id)
            run_ids.add((await stage.mailbox().describe()).run_id)

        await until(lambda: "signin.failed too_many_attempts" in stage.outcomes(signin_id))

        assert stage.outcomes(signin_id).count("otp.rejected wrong_code") == 5
        assert len(stage.mailer.tried) == 1
        assert len(run_ids) > 1


async def test_no_new_run_begins_while_a_mail_is_in_flight(temporal_client: Client) -> None:
    """A new run would send it again. Mails that become due meanwhile wait for the new run."""
    policy = Policy(signals_per_run=2)
    async with Stage(temporal_client, now, policy).working() as stage:
        stage.mailer.hold()
        await (await stage.request()).result()
        await until(lambda: stage.mailer.tried)
        run_id = (await stage.mailbox().describe()).run_id
        await (await stage.request(email="ada+2@example.com")).result()
        await stage.submit("nobody-000000000000000", "1")

        assert (await stage.mailbox().describe()).run_id == run_id
        assert len(stage.mailer.tried) == 1

        stage.mailer.release()
        await until(lambda: len(stage.mailer.sent) == 2)

        assert len(stage.mailer.tried) == 2

        await eventually(lambda: has_new_run(stage, run_id))


async def test_a_new_run_begins_while_kafka_is_down(temporal_client: Client) -> None:
    """Unpublished results are carried over, and published by the new run when Kafka is back."""
    policy = Policy(signals_per_run=2)
    async with Stage(temporal_client, now, policy).working() as stage:
        stage.publisher.down = PublishUnavailable
        handle = await stage.request()
        await handle.result()
        signin_id = handle.id.split("/")[1]
        await until(lambda: stage.mailer.sent)
        run_id = (await stage.mailbox().describe()).run_id
        await stage.submit(signin_id, "wrong")
        await eventually(lambda: has_new_run(stage, run_id))
        stage.publisher.down = None
        await stage.wait_for_results(2)

        # The code may be read before the mailbox hears that its mail was accepted.
        assert sorted(stage.outcomes(signin_id)) == ["otp.rejected wrong_code", "signin.code_sent"]


async def test_a_backlog_too_large_for_a_new_run_is_published_by_workflows_of_its_own(temporal_client: Client) -> None:
    """While Kafka is down, junk must not keep the mailbox from a new run. Nothing is lost when Kafka is back."""
    policy = Policy(signals_per_run=MAX_WAITING + MAX_CARRIED_RESULTS + 10)
    async with Stage(temporal_client, now, policy).working() as stage:
        stage.publisher.down = PublishUnavailable
        signin_ids = [uuid.uuid4().hex for _ in range(policy.signals_per_run)]
        for signin_id in signin_ids:
            await stage.submit(signin_id, "1")

        run_id = (await stage.mailbox().describe()).run_id
        await eventually(lambda: has_new_run(stage, run_id))
        stage.publisher.down = None
        await until(lambda: all(stage.outcomes(signin_id) for signin_id in signin_ids), 30)

        assert {outcome for signin_id in signin_ids for outcome in stage.outcomes(signin_id)} == {
            "otp.rejected unknown_signin"
        }
