"""The connection to Kafka, where the real one is hard to bring about: an outage, and records nobody understands."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError

from tests.web.test_events import REQUESTED
from web_login.kafka import EmitError, Kafka
from web_login.settings import Settings


class SilentProducer:
    """A producer whose broker does not answer."""

    async def send_and_wait(self, *_: Any, **__: Any) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


class Result(NamedTuple):
    """A record on the results topic."""

    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = (("ce_type", b"signin.expired"), ("ce_id", b"e-1"))
    partition: int = 0
    offset: int = 0


async def records(*results: Result) -> AsyncIterator[Result]:
    """Yield what a consumer reads."""
    for result in results:
        yield result


async def test_a_silent_broker_is_given_up(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A person is not left waiting: after some seconds they are told to try again, and the operator is told why."""
    monkeypatch.setattr("web_login.kafka._SENT_WITHIN_S", 0.05)
    kafka = Kafka(Settings(), lambda *_: None)
    kafka._producer = SilentProducer()

    async with asyncio.timeout(10):
        with pytest.raises(EmitError):
            await kafka.emit(REQUESTED)

    assert [record.message for record in caplog.records] == ["signin.requested was not confirmed: TimeoutError()"]


async def test_no_broker_at_the_start() -> None:
    """Without a broker the page does not start, and leaves no connection open."""
    kafka = Kafka(Settings(bootstrap_servers="127.0.0.1:1"), lambda *_: None)

    with pytest.raises(KafkaConnectionError):
        await kafka.start()
    await kafka.stop()

    assert not kafka.is_reading


async def test_results_that_nobody_understands_are_passed_over() -> None:
    """One bad record does not end the reading."""
    applied: list[str] = []

    def apply(kind: str, event_id: str, result: Mapping[str, Any]) -> None:
        applied.append(result["signin_id"])

    kafka = Kafka(Settings(), apply)
    good = Result(json.dumps({"signin_id": "s"}).encode())
    null = Result(good.value, headers=(("ce_type", None), ("ce_id", b"e-1")))
    nested = Result(b"[" * 100_000)
    no_value = Result(None)
    kafka._consumer = records(
        Result(b"{"), Result(b"[]"), Result(b"{}"), Result(good.value, headers=()), null, nested, no_value, good
    )

    await kafka._read_results()

    assert applied == ["s"]


async def test_headers_of_others_are_left_alone() -> None:
    """Tracing adds headers that are no text, or have no value. The result counts all the same."""
    applied: list[str] = []
    kafka = Kafka(Settings(), lambda kind, event_id, result: applied.append(event_id))
    headers = (*Result(b"").headers, ("elasticapmtraceparent", b"\xff\x00"), ("baggage", None))
    kafka._consumer = records(Result(b'{"signin_id": "s"}', headers=headers))

    await kafka._read_results()

    assert applied == ["e-1"]


async def test_the_end_of_reading_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The operator is told why ``/healthz`` fails: the client has given up."""

    async def broken() -> AsyncIterator[Result]:
        raise KafkaError("no rights on the topic")
        yield

    kafka = Kafka(Settings(), lambda *_: None)
    kafka._consumer = broken()

    with pytest.raises(KafkaError):
        await kafka._read_results()

    assert [record.message for record in caplog.records] == ["results are no longer read"]
