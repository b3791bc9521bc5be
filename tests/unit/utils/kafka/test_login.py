"""Why no connection to Kafka comes about."""

import asyncio
from pathlib import Path

import pytest

from consumers.ports import KafkaMisconfigured, KafkaUnavailable
from deploy.local.places import LOOPBACK
from deploy.local.servers.certificates import loopback_certificate
from utils.kafka.access import KafkaAccess
from utils.kafka.clients import kafka_admin
from utils.kafka.login import refusal


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _connect(access: KafkaAccess) -> None:
    async with kafka_admin(access):
        pass


async def test_a_certificate_that_is_not_trusted_is_a_matter_of_configuration(tmp_path: Path) -> None:
    """The error names the setting, where aiokafka says only that there is no connection."""
    context, _ = loopback_certificate(tmp_path)
    server = await asyncio.start_server(_hang_up, LOOPBACK, 0, ssl=context)
    port = server.sockets[0].getsockname()[1]

    async with server:
        with pytest.raises(KafkaMisconfigured, match="SSLCertVerificationError: set SIGNIN_KAFKA__SSL_CAFILE"):
            await _connect(KafkaAccess(f"{LOOPBACK}:{port}", "SSL"))


async def test_brokers_that_hang_up_or_are_down_refuse_nothing() -> None:
    """They may be starting."""
    server = await asyncio.start_server(_hang_up, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]

    async with server:
        access = KafkaAccess(f"{LOOPBACK}:{port},{LOOPBACK}:1")
        assert await refusal(access) is None

        with pytest.raises(KafkaUnavailable) as raised:
            await _connect(access)
        assert not isinstance(raised.value, KafkaMisconfigured)
