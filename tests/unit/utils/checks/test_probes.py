"""What the checks find on real servers."""

import base64
import dataclasses
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
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
from deploy.local.topics import Topics
from deploy.local.waiting import eventually
from utils.checks.finding import Finding
from utils.checks.probes import check_dns, check_kafka, check_smtp, check_temporal, check_turnstile, settings_findings
from utils.kafka.topics import create_topics
from utils.settings.loading import load_settings
from utils.wiring import Wiring
from workflows.names import mail_task_queue

KEY = base64.b64encode(bytes(32)).decode()


def wiring(**variables: Any) -> Wiring:
    """Return the wiring for development, with these settings; ``__`` in a name nests."""
    named = {f"SIGNIN_{name}": str(value) for name, value in variables.items()}
    keys = {"SIGNIN_KEYS__ACCOUNT": KEY, "SIGNIN_KEYS__CODE": f"c:{KEY}", "SIGNIN_KEYS__PAYLOAD": f"p:{KEY}"}
    return Wiring(load_settings({"SIGNIN_ENVIRONMENT": "development"} | keys | named))


def wiring_for(kafka: Kafka, topics: Topics, **variables: Any) -> Wiring:
    """Return the wiring for a test's own topics."""
    return wiring(
        KAFKA__BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        KAFKA__REQUESTED_TOPIC=topics.requested,
        KAFKA__SUBMITTED_TOPIC=topics.submitted,
        KAFKA__RESULTS_TOPIC=topics.results,
        **variables,
    )


@activity.defn
async def nothing() -> None:
    """Do nothing."""


def the(name: str, findings: Sequence[Finding]) -> Finding:
    """Return the only finding with this name."""
    (found,) = (finding for finding in findings if finding.name == name)
    return found


async def eventually_found(
    check: Callable[[], Awaitable[list[Finding]]], condition: Callable[[list[Finding]], bool]
) -> list[Finding]:
    """Repeat the check until the condition holds, because brokers learn of new topics with a delay."""

    async def found() -> list[Finding] | None:
        findings = await check()
        return findings if condition(findings) else None

    return await eventually(found, "the brokers know", within_s=20)


def fixes(findings: Sequence[Finding]) -> str:
    """Return the fixes of all warnings, or nothing while there are failures."""
    return "\n".join(finding.fix for finding in findings if finding.fix and all(each.ok for each in findings))


def all_fine(findings: Sequence[Finding]) -> bool:
    """Tell whether there is neither a failure nor a warning."""
    return all(finding.ok and finding.fix is None for finding in findings)


async def test_topics_made_by_the_command_are_fine(kafka: Kafka) -> None:
    """After ``topics create``, all topics are as planned, all rights are granted, and the group is empty."""
    run = uuid.uuid4().hex
    topics = Topics(f"r.{run}", f"s.{run}", f"o.{run}", f"g.{run}", f"q.{run}")
    wired = wiring_for(kafka, topics, KAFKA__GROUP_ID=topics.group_id)
    await create_topics(wired.kafka_access, wired.topic_plans)

    findings = await eventually_found(lambda: check_kafka(wired), all_fine)

    assert [finding.name for finding in findings] == ["Kafka", "Kafka topics", "Kafka rights", "Kafka group"]
    assert "1 broker at" in findings[0].text and "no members" in findings[3].text


async def test_missing_topics_are_named_with_the_command_that_creates_them(kafka: Kafka, topics: Topics) -> None:
    """A missing topic is a failure, and the command that creates it is the fix."""
    wired = wiring_for(kafka, dataclasses.replace(topics, results="not-there"))

    findings = await eventually_found(
        lambda: check_kafka(wired),
        lambda found: any(finding.text == "these topics are missing: not-there." for finding in found),
    )

    assert (findings[1].name, findings[1].ok) == ("Kafka topics", False)
    assert findings[1].fix == "signin-worker topics create"


async def test_topics_without_the_brokers_timestamp_get_a_warning(kafka: Kafka, topics: Topics) -> None:
    """The worker can use the emitters' timestamps, so this is no failure; the warning has the command that repairs."""
    unstamped = f"{topics.requested}.unstamped"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in (unstamped, f"{unstamped}.dlt")])
    await admin.close()
    wired = wiring_for(kafka, dataclasses.replace(topics, requested=unstamped))

    findings = await eventually_found(
        lambda: check_kafka(wired),
        lambda found: f"{unstamped} --add" in fixes(found),
    )

    tool = f"kafka-configs.sh --bootstrap-server {kafka.bootstrap_servers} --alter"
    name = f"--entity-type topics --entity-name {unstamped} --add-config"

    assert all(finding.ok for finding in findings)
    assert f"{tool} {name} message.timestamp" in fixes(findings)
    assert f"--alter --topic {unstamped} --partitions 2" in fixes(findings)


async def test_a_suitable_namespace_is_fine(monkeypatch: pytest.MonkeyPatch, temporal: Temporal) -> None:
    """A namespace with enough retention is fine, and the finding names the server."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    finding = the("Temporal", await check_temporal(wiring()))

    assert finding.ok
    assert temporal.address in finding.text


async def test_a_retention_below_the_replay_horizon_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, temporal: Temporal
) -> None:
    """A replay horizon beyond the retention is a setting to correct, as it is for ``run``."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    finding = the("Temporal", await check_temporal(wiring(REPLAY_HORIZON_S=30_000_000)))

    assert (finding.ok, finding.exit_code) == (False, 78)
    assert "retention" in finding.text


async def test_a_missing_namespace_is_a_failure(monkeypatch: pytest.MonkeyPatch, temporal: Temporal) -> None:
    """A missing namespace is told apart from an outage: the fix names the setting."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nobody-made-it")
    finding = the("Temporal", await check_temporal(wiring()))

    assert not finding.ok
    assert "TEMPORAL_NAMESPACE" in str(finding.fix)


async def test_a_missing_profile_of_temporal_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporal's own settings are checked too."""
    monkeypatch.setenv("TEMPORAL_PROFILE", "nobody-wrote-it")
    finding = the("Temporal", await check_temporal(wiring()))

    assert (finding.ok, finding.exit_code) == (False, 78)
    assert "TEMPORAL_" in str(finding.fix)


async def test_an_old_key_is_needed_while_a_run_is_open_that_started_under_it(
    monkeypatch: pytest.MonkeyPatch, temporal: Temporal
) -> None:
    """A server is asked in its own words: it counts by start time, and lists runs a moment later."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    queue = f"keys-{uuid.uuid4()}"
    old = wiring(TEMPORAL__TASK_QUEUE=queue)
    new = wiring(TEMPORAL__TASK_QUEUE=queue, KEYS__PAYLOAD=f"new:{KEY},p:{KEY}")

    assert the("Temporal payload keys", await check_temporal(new)).text == "new encrypts; p: needed by no run."

    handle = await (await old.temporal()).start_workflow("nothing", "content", id=queue, task_queue=queue)
    findings = await eventually_found(
        lambda: check_temporal(new),
        lambda found: "p: needed by open runs" in the("Temporal payload keys", found).text,
    )
    await handle.terminate()

    assert the("Temporal payload keys", findings).ok


async def test_a_queue_without_workers_gets_a_warning_if_others_have_some(
    monkeypatch: pytest.MonkeyPatch, temporal: Temporal, temporal_client: Client
) -> None:
    """No worker on any queue is normal before the first start; workers on some queues only are a warning."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    wired = wiring(TEMPORAL__TASK_QUEUE="check-pollers")
    findings = await check_temporal(wired)

    assert the("Temporal rights", findings).ok
    assert the("Temporal task queues", findings).text.startswith("no worker polls check-pollers, ")

    async with Worker(temporal_client, task_queue=mail_task_queue("check-pollers"), activities=[nothing]):
        findings = await eventually_found(
            lambda: check_temporal(wired),
            lambda found: the("Temporal task queues", found).fix is not None,
        )

    finding = the("Temporal task queues", findings)

    assert finding.ok
    assert finding.text == "no worker polls check-pollers, check-pollers-mailbox: tasks there wait."


async def test_the_mail_server_is_checked_without_a_mail(mail_server: MailServer) -> None:
    """The check connects once and sends no mail."""
    wired = wiring(SMTP__HOST=mail_server.host, SMTP__PORT=mail_server.port, SMTP__SECURITY="none")

    assert the("SMTP", await check_smtp(wired)).ok
    assert (mail_server.connections, mail_server.mails) == (1, [])


async def test_a_layout_that_breaks_after_the_settings_were_read_is_a_wrong_setting(tmp_path: Path) -> None:
    """The other checks go on."""
    wired = wiring(MAIL__TEMPLATES=tmp_path)
    (tmp_path / "mail.txt.j2").write_text("{% if %}")
    found = the("SMTP", await check_smtp(wired))

    assert (found.ok, found.exit_code) == (False, 78)
    assert "SIGNIN_MAIL__TEMPLATES cannot be used. mail.txt.j2, line 1" in found.text


async def test_siteverify_tells_whether_the_secret_is_right(siteverify: SiteverifyServer) -> None:
    """A token that nobody issued is enough to see whether siteverify knows the secret."""
    right = the("Turnstile", await check_turnstile(wiring(TURNSTILE__URL=siteverify.url, TURNSTILE__SECRET=SECRET)))
    wrong = the("Turnstile", await check_turnstile(wiring(TURNSTILE__URL=siteverify.url, TURNSTILE__SECRET="wrong")))

    assert right.ok
    assert not wrong.ok
    assert "SIGNIN_TURNSTILE__SECRET" in str(wrong.fix)


async def test_siteverify_must_reject_the_token_for_the_right_reason(siteverify: SiteverifyServer) -> None:
    """A rejection for any other reason is a failure, and only codes are repeated in its text."""
    siteverify.script_any(Answer(body={"success": False, "error-codes": ["internal-error", "Ada <ada@example.com>"]}))
    finding = the("Turnstile", await check_turnstile(wiring(TURNSTILE__URL=siteverify.url, TURNSTILE__SECRET=SECRET)))

    assert not finding.ok
    assert "rejects a made-up token with internal-error" in finding.text
    assert "Ada" not in finding.text


async def test_a_secret_that_lets_everybody_pass_is_for_development_only(siteverify: SiteverifyServer) -> None:
    """Cloudflare's test secrets accept any token: a warning in development, a failure in production."""
    wired = wiring(TURNSTILE__URL=siteverify.url, TURNSTILE__SECRET=SECRET)
    production = Wiring(wired.settings.model_copy(update={"environment": "production"}))
    accepted = Answer(body={"success": True, "error-codes": []})

    siteverify.script_any(accepted)
    finding = the("Turnstile", await check_turnstile(wired))

    assert (finding.ok, finding.fix) == (True, "set SIGNIN_TURNSTILE__SECRET to the secret of your widget.")

    siteverify.script_any(accepted)

    assert not the("Turnstile", await check_turnstile(production)).ok


async def test_dns_is_fine_if_an_impossible_domain_does_not_exist(dns_server: DnsServer) -> None:
    """DNS must answer that a domain that cannot exist does not."""
    wired = wiring(DNS__NAMESERVERS=dns_server.host, DNS__PORT=dns_server.port)
    assert the("DNS", await check_dns(wired)).ok


def test_settings_report_the_probability_of_a_guess() -> None:
    """The settings' findings show the number of SECURITY S18, and each warning."""
    lines = [finding.line() for finding in settings_findings(wiring().settings, ["X is odd."])]

    assert "9.1e-05; at most 1e-04" in lines[1]
    assert lines[2] == "warn settings: X is odd."
