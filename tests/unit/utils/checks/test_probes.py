"""What a check finds, with the real things."""

import base64
import dataclasses
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from deploy.local.servers.backends import Kafka, Temporal
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.siteverify import SECRET, Answer, SiteverifyServer
from deploy.local.waiting import eventually
from deploy.local.topics import Topics
from utils.checks import probes as checks
from utils.checks.finding import Finding
from utils.kafka.topics import create_topics
from utils.settings.loading import Settings, load_settings
from utils.wiring import Wiring
from workflows.names import mail_task_queue

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


@activity.defn
async def nothing() -> None:
    """Do nothing."""


def one(findings: Sequence[Finding], name: str) -> Finding:
    """Return the only line of this name."""
    (found,) = (finding for finding in findings if finding.name == name)
    return found


async def settled(
    check: Callable[[], Awaitable[list[Finding]]], holds: Callable[[list[Finding]], bool]
) -> list[Finding]:
    """Check until it holds: brokers learn of new topics a little later."""

    async def found() -> list[Finding] | None:
        findings = await check()
        return findings if holds(findings) else None

    return await eventually(found, "the brokers know", within_s=20)


def told(findings: Sequence[Finding]) -> str:
    """Return what is to be done about warnings, once there is nothing but warnings."""
    return "\n".join(finding.fix for finding in findings if finding.fix and all(each.ok for each in findings))


def all_fine(findings: Sequence[Finding]) -> bool:
    """Tell whether there is neither a failure nor a warning."""
    return all(finding.ok and finding.fix is None for finding in findings)


async def test_topics_that_the_command_made_are_fine(kafka: Kafka) -> None:
    """All topics there and as planned, all rights, nobody in the group yet: nothing to do."""
    run = uuid.uuid4().hex
    settings = of_topics(
        kafka, Topics(f"r.{run}", f"s.{run}", f"o.{run}", f"g.{run}", f"q.{run}"), KAFKA__GROUP_ID=f"g.{run}"
    )
    await create_topics(Wiring(settings).kafka_access, Wiring(settings).topic_plans)
    findings = await settled(lambda: checks.check_kafka(Wiring(settings)), all_fine)
    assert [finding.name for finding in findings] == ["Kafka", "Kafka topics", "Kafka rights", "Kafka group"]
    assert "1 broker at" in findings[0].text and "no members" in findings[3].text


async def test_missing_topics_are_named_with_the_command(kafka: Kafka, topics: Topics) -> None:
    """A missing topic is a failure, and the command that creates it is the fix."""
    settings = of_topics(kafka, dataclasses.replace(topics, results="not-there"))
    findings = await settled(
        lambda: checks.check_kafka(Wiring(settings)),
        lambda found: found[1].text == "these topics are missing: not-there.",
    )
    assert (findings[1].name, findings[1].ok) == ("Kafka topics", False)
    assert findings[1].fix == "signin-worker topics create"


async def test_topics_without_the_brokers_stamp_are_told(kafka: Kafka, topics: Topics) -> None:
    """It works with the emitters' clocks too, so that is no failure; the command that repairs it is there."""
    unstamped = f"{topics.requested}.unstamped"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in (unstamped, f"{unstamped}.dlt")])
    await admin.close()
    settings = of_topics(kafka, dataclasses.replace(topics, requested=unstamped))
    findings = await settled(
        lambda: checks.check_kafka(Wiring(settings)), lambda found: f"{unstamped} --add" in told(found)
    )

    assert all(finding.ok for finding in findings)

    fixes = told(findings)
    name = f"--entity-type topics --entity-name {unstamped} --add-config"

    assert f"kafka-configs.sh --bootstrap-server {kafka.bootstrap_servers} --alter {name} message.timestamp" in fixes
    assert f"--alter --topic {unstamped} --partitions 2" in fixes


async def test_temporal_is_fine(monkeypatch: pytest.MonkeyPatch, temporal: Temporal) -> None:
    """The namespace is there and remembers for a day."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    finding = one(await checks.check_temporal(Wiring(configured())), "Temporal")
    assert finding.ok
    assert temporal.address in finding.text


async def test_temporal_that_forgets_too_early_is_told(monkeypatch: pytest.MonkeyPatch, temporal: Temporal) -> None:
    """A horizon beyond the retention is a setting to correct, as it is for ``run``."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    finding = one(await checks.check_temporal(Wiring(configured(REPLAY_HORIZON_S=10**8))), "Temporal")
    assert (finding.ok, finding.exit_code) == (False, 78)
    assert "retention" in finding.text


async def test_temporal_without_the_namespace_is_told(monkeypatch: pytest.MonkeyPatch, temporal: Temporal) -> None:
    """A namespace that is not there is not an outage."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nobody-made-it")
    finding = one(await checks.check_temporal(Wiring(configured())), "Temporal")
    assert not finding.ok
    assert "TEMPORAL_NAMESPACE" in str(finding.fix)


async def test_temporals_own_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that is not there is told as such."""
    monkeypatch.setenv("TEMPORAL_PROFILE", "nobody-wrote-it")
    finding = one(await checks.check_temporal(Wiring(configured())), "Temporal")
    assert (finding.ok, finding.exit_code) == (False, 78)
    assert "TEMPORAL_" in str(finding.fix)


async def test_who_polls_is_told_queue_by_queue(
    monkeypatch: pytest.MonkeyPatch, temporal: Temporal, temporal_client: Client
) -> None:
    """Nobody before the first start; and what waits, if some queues have workers and others none."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    settings = configured(TEMPORAL__TASK_QUEUE="check-pollers")
    findings = await checks.check_temporal(Wiring(settings))

    assert one(findings, "Temporal rights").ok
    assert one(findings, "Temporal task queues").text.startswith("no worker polls check-pollers, ")

    async with Worker(temporal_client, task_queue=mail_task_queue("check-pollers"), activities=[nothing]):
        findings = await settled(
            lambda: checks.check_temporal(Wiring(settings)),
            lambda found: one(found, "Temporal task queues").fix is not None,
        )

    finding = one(findings, "Temporal task queues")

    assert finding.ok
    assert finding.text == "no worker polls check-pollers, check-pollers-mailbox: tasks there wait."


async def test_the_mail_server_lets_us_in_and_gets_no_mail(mail_server: MailServer) -> None:
    """The login is tried and no mail is sent; nothing stays open."""
    settings = configured(SMTP__HOST=mail_server.host, SMTP__PORT=mail_server.port, SMTP__SECURITY="none")
    assert one(await checks.check_smtp(Wiring(settings)), "SMTP").ok
    assert (mail_server.connections, mail_server.mails) == (1, [])


async def test_siteverify_answers_and_knows_the_secret(siteverify: SiteverifyServer) -> None:
    """A token that nobody issued shows whether the secret is right."""
    right = configured(TURNSTILE__URL=siteverify.url, TURNSTILE__SECRET=SECRET)
    assert one(await checks.check_turnstile(Wiring(right)), "Turnstile").ok
    wrong = configured(TURNSTILE__URL=siteverify.url, TURNSTILE__SECRET="wrong")
    finding = one(await checks.check_turnstile(Wiring(wrong)), "Turnstile")
    assert not finding.ok
    assert "SIGNIN_TURNSTILE__SECRET" in str(finding.fix)


async def test_siteverify_must_say_that_it_does_not_know_the_token(siteverify: SiteverifyServer) -> None:
    """Any other no is none to rely on, and its words are not repeated unless they are codes."""
    settings = configured(TURNSTILE__URL=siteverify.url, TURNSTILE__SECRET=SECRET)
    siteverify.script_any(Answer(body={"success": False, "error-codes": ["internal-error", "Ada <ada@example.com>"]}))
    finding = one(await checks.check_turnstile(Wiring(settings)), "Turnstile")
    assert not finding.ok
    assert "rejects a made-up token with internal-error" in finding.text


async def test_a_secret_that_lets_everybody_pass_is_told(siteverify: SiteverifyServer) -> None:
    """As Cloudflare's test secrets do: fit for development, with a warning."""
    settings = configured(TURNSTILE__URL=siteverify.url, TURNSTILE__SECRET=SECRET)
    siteverify.script_any(Answer(body={"success": True, "error-codes": []}))
    finding = one(await checks.check_turnstile(Wiring(settings)), "Turnstile")
    assert (finding.ok, finding.fix) == (True, "set SIGNIN_TURNSTILE__SECRET to the secret of your widget.")
    real = settings.model_copy(update={"environment": "production"})
    siteverify.script_any(Answer(body={"success": True, "error-codes": []}))
    assert not one(await checks.check_turnstile(Wiring(real)), "Turnstile").ok


async def test_dns_answers(dns_server: DnsServer) -> None:
    """A name that cannot exist does not exist."""
    settings = configured(DNS__NAMESERVERS=dns_server.host, DNS__PORT=dns_server.port)
    assert one(await checks.check_dns(Wiring(settings)), "DNS").ok


def test_settings_tell_how_likely_a_guess_is() -> None:
    """The number of SECURITY S18, for the settings as they are."""
    lines = [finding.line() for finding in checks.settings_findings(configured(), ["X is odd."])]
    assert "9.1e-05; at most 1e-04" in lines[1]
    assert lines[2] == "warn settings: X is odd."
