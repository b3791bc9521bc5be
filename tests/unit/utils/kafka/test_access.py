"""How the worker logs in to Kafka."""

import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from consumers.ports import KafkaMisconfigured
from deploy.local.servers.certificates import loopback_certificate
from utils.files import secret_file
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


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "unreadable"])
@pytest.mark.parametrize("file", ["cafile", "certfile", "keyfile"])
def test_a_certificate_file_that_cannot_be_used_is_a_matter_of_configuration(
    tmp_path: Path, file: str, content: str | None
) -> None:
    """The error names the files, so that ``run`` can wait for them and say what it waits for."""
    _, certificate = loopback_certificate(tmp_path)
    broken = tmp_path / "broken.pem"
    if content is not None:
        broken.write_text(content)
    files = {
        "cafile": str(certificate),
        "certfile": str(certificate),
        "keyfile": str(tmp_path / "key.pem"),
        file: str(broken),
    }

    with pytest.raises(KafkaMisconfigured, match=str(broken)):
        KafkaAccess("b:9092", "SSL", **files).options()


def test_a_key_with_a_pass_phrase_is_refused_without_a_question(tmp_path: Path) -> None:
    """OpenSSL would ask on the terminal, and stop the event loop until somebody answers."""
    _, certificate = loopback_certificate(tmp_path)
    key = load_pem_private_key((tmp_path / "key.pem").read_bytes(), password=None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"phrase")))
    build = f"KafkaAccess('b:9092', 'SSL', certfile={str(certificate)!r}, keyfile={str(locked)!r}).options()"

    ended = subprocess.run(
        [sys.executable, "-c", f"from utils.kafka.access import KafkaAccess; {build}"],
        input="phrase\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,  # without a terminal, OpenSSL asks on stdin
    )

    assert "pass phrase" not in ended.stderr
    assert f"KafkaMisconfigured: the certificates ({certificate}, {locked}) can't be used" in ended.stderr


class Client:
    """The attributes of ``AIOKafkaClient`` that each new connection copies."""

    def __init__(self, access: KafkaAccess) -> None:
        options = access.options()
        self._ssl_context = options["ssl_context"]
        self._sasl_plain_password = options["sasl_plain_password"]


def test_running_clients_are_given_new_credentials(tmp_path: Path) -> None:
    """A refresh without changes leaves all objects; one with changes sets them on the client. Others get none."""
    _, certfile = loopback_certificate(tmp_path)
    password = tmp_path / "password"
    password.write_text("first")
    files = {"certfile": str(certfile), "keyfile": str(tmp_path / "key.pem")}
    access = KafkaAccess("b:9093", "SASL_SSL", password=secret_file("password", password), **files)
    followed = Client(access)
    other = Client(access)
    access.follow(followed)
    first = followed._ssl_context
    access.refresh()

    assert followed._ssl_context is first

    password.write_text("second")
    loopback_certificate(tmp_path)
    access.refresh()

    assert followed._sasl_plain_password == "second"
    assert followed._ssl_context is not first
    assert (other._ssl_context, other._sasl_plain_password) == (first, "first")


async def test_the_real_client_has_the_attributes_that_are_set() -> None:
    """If aiokafka renamed one, running clients would silently keep the old credentials."""
    client = vars(AIOKafkaClient(bootstrap_servers="127.0.0.1:1"))
    assert {"_ssl_context", "_sasl_plain_password"} <= client.keys()


def test_certificates_that_never_could_be_used_are_left_to_whoever_needs_them(tmp_path: Path) -> None:
    """A refresh does not raise: building a client does."""
    KafkaAccess("b:9093", "SSL", cafile=str(tmp_path / "none")).refresh()
