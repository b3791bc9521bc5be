"""What a check finds, with the real things."""

import base64
import dataclasses
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.backends import Kafka, Temporal
from deploy.local.dns_server import DnsServer
from deploy.local.mail_server import MailServer
from deploy.local.siteverify import SECRET, SiteverifyServer
from deploy.local.waiting import eventually
from tests.conftest import Topics
from utils import dependencies
from utils.settings import Settings, load_settings
from utils.terminal import Finding

KEY = base64.b64encode(bytes(32)).decode()


def configured(**variables: Any) -> Settings:
    """Return development settings; ``__`` in a name nests."""
    named = {f"SIGNIN_{name}": str(value) for name, value in variables.items()}
    keys = {"SIGNIN_KEYS__ACCOUNT": KEY, "SIGNIN_KEYS__CODE": f"c:{KEY}", "SIGNIN_KEYS__PAYLOAD": f"p:{KEY}"}
    return load_settings({"SIGNIN_ENVIRONMENT": "development"} | keys | named)


def of_topics(kafka: Kafka, topics: Topics, **variables: Any) -> Settings:
    """Return settings with a test's own topics."""
    return configured(
        KAFKA__BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        KAFKA__REQUESTED_TOPIC=topics.requested,
        KAFKA__SUBMITTED_TOPIC=topics.submitted,
        KAFKA__RESULTS_TOPIC=topics.results,
        **variables,
    )


def test_access_holds_what_is_set() -> None:
    """All of Kafka's security settings reach its clients, and the password is not shown."""
    settings = configured(
        KAFKA__BOOTSTRAP_SERVERS="a:1, b:2",
        KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA__SASL_MECHANISM="scram-sha-512",
        KAFKA__SASL_USERNAME="worker",
        KAFKA__SASL_PASSWORD="hush",
    )
    access = dependencies.kafka_access(settings)
    assert access.bootstrap_servers == "a:1,b:2"
    assert (access.sasl_mechanism, access.username, access.password) == ("SCRAM-SHA-512", "worker", "hush")
    assert "hush" not in repr(access)


async def test_topics_that_are_there_are_fine(kafka: Kafka, topics: Topics) -> None:
    """All topics there and stamped: nothing to do, once the broker knows of them."""

    async def fine() -> Finding | None:
        finding = await dependencies.check_kafka(of_topics(kafka, topics))
        return finding if finding.ok else None

    finding = await eventually(fine, "topics known", within_s=20)
    assert finding.fix is None


async def test_missing_topics_are_named_with_the_command(kafka: Kafka, topics: Topics) -> None:
    """A missing topic is a failure, and the command that creates it is the fix."""
    finding = await dependencies.check_kafka(of_topics(kafka, dataclasses.replace(topics, results="not-there")))
    assert not finding.ok
    assert "not-there" in finding.text
    assert finding.fix == "signin-worker topics create"


async def test_topics_without_the_brokers_stamp_are_told(kafka: Kafka, topics: Topics) -> None:
    """It works with the emitters' clocks too, so that is no failure."""
    unstamped = f"{topics.requested}.unstamped"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in (unstamped, f"{unstamped}.dlt")])
    await admin.close()
    settings = of_topics(kafka, dataclasses.replace(topics, requested=unstamped))

    async def fine() -> Finding | None:
        finding = await dependencies.check_kafka(settings)
        return finding if finding.ok else None

    finding = await eventually(fine, "topics known", within_s=20)
    assert unstamped in finding.text
    assert "LogAppendTime" in str(finding.fix)


async def test_temporal_is_fine(monkeypatch: pytest.MonkeyPatch, temporal: Temporal) -> None:
    """The namespace is there and remembers for a day."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    finding = await dependencies.check_temporal(configured())
    assert finding.ok
    assert temporal.address in finding.text


async def test_temporal_that_forgets_too_early_is_told(monkeypatch: pytest.MonkeyPatch, temporal: Temporal) -> None:
    """A horizon beyond the retention is a setting to correct, as it is for ``run``."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    finding = await dependencies.check_temporal(configured(REPLAY_HORIZON_S=10**8))
    assert (finding.ok, finding.code) == (False, 78)
    assert "retention" in finding.text


async def test_temporal_without_the_namespace_is_told(monkeypatch: pytest.MonkeyPatch, temporal: Temporal) -> None:
    """A namespace that is not there is not an outage."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nobody-made-it")
    finding = await dependencies.check_temporal(configured())
    assert not finding.ok
    assert "TEMPORAL_NAMESPACE" in str(finding.fix)


async def test_temporals_own_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that is not there is told as such."""
    monkeypatch.setenv("TEMPORAL_PROFILE", "nobody-wrote-it")
    finding = await dependencies.check_temporal(configured())
    assert (finding.ok, finding.code) == (False, 78)
    assert "TEMPORAL_" in str(finding.fix)


async def test_mail_server_lets_us_in_or_not(mail_server: MailServer) -> None:
    """The login is tried and no mail is sent."""
    settings = configured(SMTP__HOST=mail_server.host, SMTP__PORT=mail_server.port, SMTP__SECURITY="none")
    assert (await dependencies.check_smtp(settings)).ok
    assert mail_server.mails == []
    settings = configured(SMTP__HOST=mail_server.host, SMTP__PORT=mail_server.port, SMTP__SECURITY="starttls")
    assert not (await dependencies.check_smtp(settings)).ok


async def test_siteverify_answers_and_knows_the_secret(siteverify: SiteverifyServer) -> None:
    """A token that nobody issued shows whether the secret is right."""
    assert (await dependencies.check_turnstile(configured(TURNSTILE__URL=siteverify.url, TURNSTILE__SECRET=SECRET))).ok
    finding = await dependencies.check_turnstile(configured(TURNSTILE__URL=siteverify.url, TURNSTILE__SECRET="wrong"))
    assert not finding.ok
    assert "SIGNIN_TURNSTILE__SECRET" in str(finding.fix)


async def test_dns_answers(dns_server: DnsServer) -> None:
    """A name that cannot exist does not exist."""
    finding = await dependencies.check_dns(configured(DNS__NAMESERVERS=dns_server.host, DNS__PORT=dns_server.port))
    assert finding.ok
