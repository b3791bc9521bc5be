"""Credentials and addresses that change under running clients, against real brokers that check them (docs/adr/0021)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.ports import KafkaUnavailable
from tests.fakes.authority import Authority
from tests.fakes.consumer_bench import ON_A_BROKER, ComposedConsumer
from tests.fakes.inbound import request_data, signin_id
from tests.fakes.token_endpoint import TokenEndpoint
from tests.fakes.waiting import until
from tests.faults.proxy import Proxy
from tests.integration.listeners import ExtraListener, passwords, tls, tokens
from utils.files import secret_file
from utils.kafka.access import KafkaAccess
from utils.kafka.oauth import ClientCredentials
from utils.kafka.producer import ReliableProducer
from utils.kafka.source import KafkaSource
from utils.kafka.topics import create_topics, planned_topics

TOPICS = ("in", "codes")
HEALED_WITHIN_S = 40

Listen = Callable[[str, Mapping[str, str]], Awaitable[ExtraListener]]


class Clients:
    """A producer and a consumer with the same access, which run for the whole test."""

    def __init__(self, access: KafkaAccess, stall_s: float = 20) -> None:
        self.access = access
        self.replaced = 0
        self.producer = ReliableProducer(access, timeout_s=3, on_replaced=self._count)
        self.bench = ComposedConsumer(
            KafkaSource(access, "group", TOPICS), replace(ON_A_BROKER, stall_s=stall_s), TOPICS
        )
        self._sent = 0

    async def send(self) -> bool:
        """Send the next request; return whether it was acknowledged."""
        value = json.dumps(request_data(self._sent + 1)).encode()
        try:
            await self.producer.send(TOPICS[0], b"key", value)
        except KafkaUnavailable:
            return False

        self._sent += 1
        return True

    async def until_healed(self) -> None:
        """Wait until the next request is acknowledged, and until the consumer has read all that were."""
        async with asyncio.timeout(HEALED_WITHIN_S):
            while not await self.send():
                pass

        await self.until_all_are_read()

    async def until_all_are_read(self) -> None:
        """Wait until the consumer has read every acknowledged request."""
        expected = {signin_id(number) for number in range(1, self._sent + 1)}
        await until(lambda: set(self.bench.applied) == expected, HEALED_WITHIN_S)

    def _count(self) -> None:
        self.replaced += 1


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Give an authority that broker and worker trust."""
    return Authority(tmp_path)


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Give a function that starts a broker with one more listener, and creates the topics."""
    started: list[ExtraListener] = []

    async def start(protocol: str, settings: Mapping[str, str]) -> ExtraListener:
        listener = ExtraListener(protocol, settings)
        started.append(listener)
        await asyncio.to_thread(listener.start)
        access = KafkaAccess(listener.kafka.bootstrap_servers)
        await create_topics(access, planned_topics(*TOPICS, "out", partitions=1))
        return listener

    yield start
    for listener in started:
        await asyncio.to_thread(listener.stop)


async def test_a_new_certificate_is_taken_by_running_clients(
    tmp_path: Path, authority: Authority, listen: Listen
) -> None:
    """The old one expires and all connections are lost. The new certificate alone, without its key, changes nothing."""
    certfile = tmp_path / "client.pem"
    keyfile = tmp_path / "client-key.pem"

    def write(pair: tuple[bytes, bytes]) -> None:
        certfile.write_bytes(pair[0])
        keyfile.write_bytes(pair[1])

    listener = await listen("SSL", tls(authority, tmp_path))
    write(authority.issue("worker", valid_s=8))
    expired_at = time.time() + 8
    clients = Clients(
        KafkaAccess(listener.address, "SSL", cafile=str(authority.cafile), certfile=str(certfile), keyfile=str(keyfile))
    )

    async with clients.bench.working():
        await clients.until_healed()
        await until(lambda: time.time() > expired_at, 15)
        await asyncio.to_thread(listener.change, {})

        assert not await clients.send()

        certificate, key = authority.issue("worker")
        certfile.write_bytes(certificate)
        clients.access.refresh()

        assert [files.is_outdated for files in clients.access.certificate_files] == [True]
        assert not await clients.send()
        assert not clients.producer.delivers

        keyfile.write_bytes(key)
        clients.access.refresh()
        await clients.until_healed()

    assert clients.producer.delivers
    assert clients.bench.metrics.rebuilds == 0
    await clients.producer.close()


async def test_a_new_password_is_taken_by_running_clients(tmp_path: Path, listen: Listen) -> None:
    """The broker's password changes first, and the file some time later."""
    file = tmp_path / "password"
    file.write_text("first")
    listener = await listen("SASL_PLAINTEXT", passwords(worker="first"))
    password = secret_file("password", file)
    clients = Clients(KafkaAccess(listener.address, "SASL_PLAINTEXT", username="worker", password=password))

    async with clients.bench.working():
        await clients.until_healed()
        await asyncio.to_thread(listener.change, passwords(worker="second"))

        assert not await clients.send()

        file.write_text("second")
        clients.access.refresh()
        await clients.until_healed()

    assert clients.bench.metrics.rebuilds == 0
    await clients.producer.close()


async def test_brokers_at_other_addresses_are_found(listen: Listen) -> None:
    """Only the bootstrap address stays. The producer is replaced, and the consumer is rebuilt: once each."""
    bootstrap = Proxy(lambda reader: reader.read(65_536))
    await bootstrap.listen()
    listener = await listen("PLAINTEXT", {})
    bootstrap.forward_to(listener.address)
    clients = Clients(KafkaAccess(f"127.0.0.1:{bootstrap.port}"), stall_s=5)

    async with clients.bench.working():
        await clients.until_healed()
        await asyncio.to_thread(listener.move)
        bootstrap.forward_to(listener.address)
        await clients.until_healed()

    assert clients.replaced == 1
    assert clients.bench.metrics.rebuilds == 1
    await clients.producer.close()
    await bootstrap.stop()


async def test_tokens_are_renewed_before_they_expire(
    tmp_path: Path, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker verifies each token by its signature, and ends connections whose token has expired."""
    endpoint = TokenEndpoint("first", lifetime_s=4)
    secret = tmp_path / "secret"
    secret.write_text("first")
    key_set = tmp_path / "keys.json"
    key_set.write_text(endpoint.key_set())
    monkeypatch.setenv("JDK_JAVA_OPTIONS", f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={key_set.as_uri()}")

    async with endpoint.running():
        listener = await listen("SASL_PLAINTEXT", tokens(key_set.as_uri(), reauthenticate_ms=3_000))
        credentials = ClientCredentials(endpoint.url, "worker", secret_file("secret", secret), "kafka")
        clients = Clients(KafkaAccess(listener.address, "SASL_PLAINTEXT", "OAUTHBEARER", tokens=credentials))

        async with clients.bench.working():
            await clients.until_healed()
            endpoint.secret = "second"
            secret.write_text("second")
            while len(endpoint.forms) < 4:
                await clients.until_healed()

    assert endpoint.forms[0] == {"grant_type": "client_credentials", "scope": "kafka"}
    assert clients.bench.metrics.rebuilds == 0
    await clients.producer.close()
