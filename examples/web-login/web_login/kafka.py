"""The connection to Kafka: emits events, and hands on results."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from web_login.events import Event
from web_login.settings import Settings

Apply = Callable[[str, str, Mapping[str, Any]], None]
_LOG: Final = logging.getLogger("web_login")
_SENT_WITHIN_S: Final = 5


class EmitError(Exception):
    """Raised when Kafka did not confirm an event. It may have taken it all the same."""


class Kafka:
    """A producer and a consumer, connected between ``start`` and ``stop``.

    The consumer is in no group: each process reads all results from its start on. Before that it
    has no sign-in that a result could be for.
    """

    def __init__(self, settings: Settings, apply: Apply) -> None:
        self._settings = settings
        self._topics = {"signin.requested": settings.requested_topic, "otp.submitted": settings.submitted_topic}
        self._apply = apply
        self._clients = contextlib.AsyncExitStack()
        self._reading: asyncio.Task[None] | None = None

    @property
    def is_reading(self) -> bool:
        """Whether results are read. If not, the process is to be replaced."""
        return self._reading is not None and not self._reading.done()

    async def start(self) -> None:
        """Connect, and find the end of the results before the first event, so that no result is missed."""
        servers = self._settings.bootstrap_servers
        self._producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(
            self._settings.results_topic, bootstrap_servers=servers, auto_offset_reset="earliest"
        )
        for client in (self._producer, self._consumer):
            self._clients.push_async_callback(client.stop)
            await client.start()

        await self._consumer.seek_to_end()
        for partition in self._consumer.assignment():
            await self._consumer.position(partition)
        self._reading = asyncio.create_task(self._read_results())

    async def stop(self) -> None:
        """Disconnect."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

        await self._clients.aclose()

    async def emit(self, event: Event) -> None:
        """Return once Kafka has the event on all replicas in sync. Raises ``EmitError``.

        aiokafka's idempotent producer tries for ever, so the time is limited here.
        """
        topic = self._topics[event.type]
        try:
            async with asyncio.timeout(_SENT_WITHIN_S):
                await self._producer.send_and_wait(topic, event.body, key=event.key, headers=event.headers)
        except (KafkaError, TimeoutError) as error:
            _LOG.warning("%s was not confirmed: %r", event.type, error)
            raise EmitError(f"{event.type} was not confirmed") from error

    async def _read_results(self) -> None:
        """Read until the client gives up. Whatever a record holds, the next one is read."""
        try:
            async for record in self._consumer:
                self._apply_record(record)
        except KafkaError:
            _LOG.exception("results are no longer read")
            raise

    def _apply_record(self, record: Any) -> None:
        try:
            headers = dict(record.headers)  # not all are the worker's, or text
            self._apply(headers["ce_type"].decode(), headers["ce_id"].decode(), json.loads(record.value))
        except Exception:
            _LOG.exception("a result at %s/%s was not understood", record.partition, record.offset)
