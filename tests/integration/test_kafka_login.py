"""Logins that a real broker refuses."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from consumers.ports import KafkaMisconfigured
from deploy.local.places import free_ports
from deploy.local.servers.kafka import LocalKafka
from tests.fakes.waiting import until
from tests.integration.test_kafka_auto_creation import Assigned
from utils.kafka.access import KafkaAccess
from utils.kafka.metadata import READ
from utils.kafka.needs import KafkaNeeds
from utils.kafka.source import KafkaSource
from utils.kafka.watch import KafkaWatch

_PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SETTINGS = {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:SASL_PLAINTEXT",
    "listener.name.proxied.sasl.enabled.mechanisms": "PLAIN",
    "listener.name.proxied.plain.sasl.jaas.config": f'{_PLAIN_LOGIN} user_worker="right";',
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Give the address of a broker that knows one login."""
    (port,) = free_ports(1)
    kafka = LocalKafka(proxied_as=port, settings=_SETTINGS)
    kafka.start()
    yield kafka.behind_proxy
    kafka.stop()


@pytest.mark.parametrize(
    ("mechanism", "error"),
    [("PLAIN", "SaslAuthenticationFailed"), ("SCRAM-SHA-512", "UnsupportedSaslMechanismError")],
)
async def test_a_refused_login_is_named(address: str, mechanism: str, error: str) -> None:
    """The consumer does not join, the watch has a problem, and both name the settings to correct."""
    access = KafkaAccess(address, "SASL_PLAINTEXT", mechanism, "worker", "wrong")
    told = f"{error}: correct SIGNIN_KAFKA__SASL_MECHANISM and the login that it needs"

    source = KafkaSource(access, "g", ["in"])
    with pytest.raises(KafkaMisconfigured, match=told):
        await source.start(Assigned())
    assert source.refusal == told

    watch = KafkaWatch(access, KafkaNeeds({"in": READ}))
    running = asyncio.create_task(watch.run())
    expected: Sequence[str] = [f"Kafka: {told}"]
    await until(lambda: watch.problems == expected, 10)
    watch.stop()
    await running
