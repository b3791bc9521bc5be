"""How the worker logs in to Kafka."""

import ssl
from pathlib import Path

import pytest

from deploy.local.servers.certificates import loopback_certificate
from utils.kafka.access import KafkaAccess


def test_the_password_is_not_shown() -> None:
    """The representation of an access leaves the password out."""
    assert "a secret" not in repr(KafkaAccess("b:9092", "SASL_SSL", username="worker", password="a secret"))


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_a_plain_protocol_has_no_tls(protocol: str) -> None:
    """Without SSL in its name, a protocol needs no TLS context."""
    assert KafkaAccess("b:9092", protocol).options()["ssl_context"] is None


def test_the_brokers_certificate_is_verified(tmp_path: Path) -> None:
    """SASL_SSL verifies the brokers' certificate and host name, and logs in."""
    _, cafile = loopback_certificate(tmp_path)
    options = KafkaAccess("b:9092", "SASL_SSL", "SCRAM-SHA-512", "worker", "a secret", str(cafile)).options()
    context = options["ssl_context"]

    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("worker", "a secret")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_client_certificate_is_loaded(tmp_path: Path) -> None:
    """With SSL, the worker can show a certificate of its own."""
    _, certfile = loopback_certificate(tmp_path)
    access = KafkaAccess("b:9092", "SSL", certfile=str(certfile), keyfile=str(tmp_path / "key.pem"))
    assert access.options()["ssl_context"] is not None
