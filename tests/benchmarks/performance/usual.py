"""The usual way, in one process: a consumer that handles one record at a time, and a worker with default options."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaConsumer
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from activities.codes import CodeKeys
from activities.delivery import DeliveryActivities
from activities.email_check import EmailActivities
from activities.otp import OtpActivities
from activities.publishing import PublishingActivities
from activities.pseudonyms import Pseudonyms
from activities.turnstile_check import TurnstileActivities
from consumers.ports import utc_now
from schemas.inbound import OtpSubmitted, SignInRequested
from schemas.signals import SignInInput, Submission
from tests.benchmarks.performance.usual_workflow import UsualSignIn
from utils.kafka.producer import ReliableProducer
from utils.kafka.writers import ResultPublisher
from utils.logs import configure_logging
from utils.settings.loading import Settings, load_settings
from utils.temporal.client import connect
from utils.process import stop_on_signals
from utils.wiring import Wiring


class UsualConsumer:
    """Reads both topics and commits after each message."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self._client = client
        self._code_keys = CodeKeys(settings.keys.code.get_secret_value())

    async def run(self) -> None:
        """Consume until cancelled."""
        kafka = self._settings.kafka
        consumer = AIOKafkaConsumer(
            *(kafka.requested_topic, kafka.submitted_topic),
            bootstrap_servers=",".join(kafka.bootstrap_servers),
            group_id=kafka.group_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()

        try:
            print("ready", flush=True)
            async for record in consumer:
                if record.topic == kafka.requested_topic:
                    await self._start(SignInRequested.model_validate_json(record.value))
                else:
                    await self._submit(OtpSubmitted.model_validate_json(record.value))
                await consumer.commit()
        finally:
            await consumer.stop()

    async def _start(self, event: SignInRequested) -> None:
        settings = self._settings
        sign_in = SignInInput(request=event, born_at=event.requested_at, policy=settings.policy())

        try:
            await self._client.start_workflow(
                "usual_sign_in",
                sign_in,
                id=f"usual/{event.signin_id}",
                task_queue=settings.temporal.task_queue,
            )
        except WorkflowAlreadyStartedError:
            pass  # delivered again

    async def _submit(self, event: OtpSubmitted) -> None:
        key_id, seal = self._code_keys.seal(event.signin_id, event.code)
        fields = event.model_dump(include={"signin_id", "submission_id", "submitted_at"})
        read_at = event.submitted_at
        submission = Submission(**fields, account="", seal=seal, key_id=key_id, read_at=read_at)

        try:
            await self._client.get_workflow_handle(f"usual/{event.signin_id}").signal("submit", submission)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise


async def main() -> None:
    """Run until SIGTERM, or until something fails."""
    settings = load_settings(os.environ, lambda _: None)
    configure_logging(format=settings.log.format, level=settings.log.level, stream=sys.stderr)
    client = await connect(settings.keys.payload.get_secret_value())

    async with AsyncExitStack() as stack:
        worker = _worker(settings, client, stack)
        consuming = asyncio.create_task(UsualConsumer(settings, client).run())
        async with worker:
            ended = asyncio.create_task(stop_on_signals().wait())
            await asyncio.wait({consuming, ended}, return_when=asyncio.FIRST_COMPLETED)

        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)


def _worker(settings: Settings, client: Client, stack: AsyncExitStack) -> Worker:
    wiring = Wiring(settings)
    producer = ReliableProducer(wiring.kafka_access)
    siteverify = wiring.siteverify()
    stack.push_async_callback(producer.close)
    stack.push_async_callback(siteverify.close)
    keys = CodeKeys(settings.keys.code.get_secret_value())
    turnstile = settings.turnstile
    names = Pseudonyms(settings.keys.account.get_secret_value())
    otp = OtpActivities(keys)
    mailer = wiring.mailer()
    publisher = ResultPublisher(producer, settings.kafka.results_topic)
    token = TurnstileActivities(
        siteverify,
        frozenset(turnstile.hostnames),
        turnstile.action,
        turnstile.max_token_age_s,
        utc_now,
    )

    return Worker(
        client,
        task_queue=settings.temporal.task_queue,
        workflows=[UsualSignIn],
        activities=[
            EmailActivities(wiring.mail_domains(), names).validate_email_activity,
            token.verify_turnstile_activity,
            otp.generate_otp_activity,
            otp.verify_otp_activity,
            DeliveryActivities(mailer, keys, settings.smtp.message_id_domain, utc_now).send_email_activity,
            PublishingActivities(publisher).publish_result_activity,
        ],
    )


if __name__ == "__main__":
    asyncio.run(main())
