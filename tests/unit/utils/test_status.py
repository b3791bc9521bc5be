"""What ``signin-worker status`` makes of whoever answers in the worker's place, and of topics that nobody sees."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NoReturn

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from schemas.status import PartitionLag, Status
from utils.endpoints import build_app, instance_place, serving
from utils.kafka.access import KafkaAccess
from utils.status import StatusReader

LAG = PartitionLag(topic="in", partition=0, end=1, committed=1, lag=0, oldest=None)


async def no_temporal() -> NoReturn:
    """Fail to connect."""
    raise OSError


async def read(monkeypatch: pytest.MonkeyPatch, host: str, port: int, *lags: PartitionLag) -> Status:
    """Read the status where Kafka shows these partitions."""

    async def show(_access: KafkaAccess, _group_id: str, _topics: Sequence[str]) -> list[PartitionLag]:
        return [*lags]

    monkeypatch.setattr("utils.status.partition_lags", show)
    url = f"http://{instance_place(host, port)}"
    return await StatusReader(KafkaAccess("k:9092"), "g", ("in", "codes"), no_temporal, "queue", url).read()


@pytest.mark.parametrize(("listens", "host"), [("127.0.0.1", "0.0.0.0"), ("::1", "::1"), ("::1", "::")])
async def test_a_worker_is_found_wherever_it_listens(monkeypatch: pytest.MonkeyPatch, listens: str, host: str) -> None:
    """Also on IPv6, and at the address that stands for all."""
    async with serving(build_app(lambda: [], lambda: b"signin_consumer_in_flight 3\n"), listens, 0) as port:
        status = await read(monkeypatch, host, port)

    assert "worker" not in status.away
    assert status.worker is not None and status.worker.in_flight == 3


def foreign(ready: Any, metrics: str | bytes = "") -> AbstractAsyncContextManager[int]:
    """Serve something that is no worker."""

    async def readyz(_request: Request) -> Response:
        return Response(ready) if isinstance(ready, bytes) else JSONResponse(ready)

    async def show_metrics(_request: Request) -> Response:
        return PlainTextResponse(metrics)

    return serving(Starlette(routes=[Route("/readyz", readyz), Route("/metrics", show_metrics)]), "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("ready", "metrics"),
    [
        ({"error": "Not Found"}, ""),
        ([], ""),
        (b"\xff\xfe\xfa", ""),
        (b"[" * 100_000, ""),
        ({"missing": 5}, ""),
        ({"missing": [5]}, ""),
        ({"missing": []}, "signin_mails_total 1\n"),
        ({"missing": []}, "<html>"),
        ({"missing": []}, b"\xff"),
        ({"missing": []}, "signin_consumer_in_flight +Inf\n"),
        ({"missing": []}, "signin_consumer_in_flight NaN\n"),
    ],
)
async def test_whoever_else_answers_is_no_worker(
    monkeypatch: pytest.MonkeyPatch, ready: Any, metrics: str | bytes
) -> None:
    """The rest of the status is shown all the same."""
    async with foreign(ready, metrics) as port:
        status = await read(monkeypatch, "127.0.0.1", port, LAG)

    assert status.worker is None
    assert status.away["worker"] == "InstanceUnavailable"
    assert status.partitions == (LAG,)


async def test_text_that_is_no_json_is_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if it calls itself JSON."""

    async def readyz(_request: Request) -> Response:
        return Response("{", media_type="application/json")

    async with serving(Starlette(routes=[Route("/readyz", readyz)]), "127.0.0.1", 0) as port:
        status = await read(monkeypatch, "127.0.0.1", port)

    assert status.away["worker"] == "InstanceUnavailable"


async def test_a_topic_without_partitions_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a missing topic would look like one without a lag."""
    status = await read(monkeypatch, "127.0.0.1", 1, LAG)
    assert status.unseen == ("codes",)


async def test_without_kafka_no_topic_is_called_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of it: that Kafka is away says it all."""

    async def fail(*_: object) -> NoReturn:
        raise OSError

    monkeypatch.setattr("utils.status.partition_lags", fail)
    reader = StatusReader(KafkaAccess("k:9092"), "g", ("in",), no_temporal, "queue", "http://127.0.0.1:1")
    status = await reader.read()

    assert status.away["Kafka"] == "OSError"
    assert status.unseen == ()
