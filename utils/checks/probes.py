"""The check of each dependency: whether it is there, is set up right, and grants us what we need.

Every finding that is not ok says what to do. Nothing is sent, written or created.
"""

import os
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError

from activities.errors import ChallengeUnavailable, TemporalUnavailable
from consumers.ports import KafkaUnavailable
from utils.checks.finding import Finding, Probe
from utils.checks.kafka import KafkaCheck, topic_uses
from utils.checks.payload_keys import check_payload_keys
from utils.checks.smtp import check_mail_server
from utils.checks.temporal import NO_DEPLOYMENT, check_release, check_rights, check_task_queues
from utils.settings.guesses import MAX_GUESS_PROBABILITY
from utils.settings.loading import Settings
from utils.smtp.mail_templates import TemplatesError
from utils.temporal.client import TemporalSettingsError
from utils.temporal.namespace import shows_mailboxes
from utils.temporal.releases import Releases
from utils.wiring import Wiring
from workflows.names import mail_task_queue, mailbox_task_queue

_UNKNOWN_TOKEN: Final = "signin-worker-check"
_UNKNOWN_DOMAIN: Final = "signin-worker-check.invalid"  # cannot exist (RFC 6761)
_TOKEN_REJECTED: Final = "invalid-input-response"
_SECRET_REJECTED: Final = {"invalid-input-secret", "missing-input-secret"}


def settings_findings(settings: Settings, warnings: Sequence[str]) -> list[Finding]:
    """Report on valid settings. Key ids are shown, so that a rotation can be followed."""
    codes = ", ".join(settings.keys.code.get_secret_value())
    payloads = ", ".join(settings.keys.payload.get_secret_value())
    keys = f"complete for {settings.environment}; code keys: {codes}; payload keys: {payloads}."
    chance = f"a year of guessing opens an account with a probability of {settings.guess_probability:.1e}"

    return [
        Finding.passed("settings", keys),
        Finding.passed("settings", f"{chance}; at most {MAX_GUESS_PROBABILITY:.0e} is allowed."),
        *(Finding("settings", True, warning, warns=True) for warning in warnings),
    ]


def probes(wiring: Wiring) -> list[Probe]:
    """Return the check of each dependency."""
    checks: list[Callable[[Wiring], Awaitable[Sequence[Finding]]]]
    checks = [check_kafka, check_temporal, check_smtp, check_turnstile, check_dns]
    return [partial(check, wiring) for check in checks]


async def check_kafka(wiring: Wiring) -> list[Finding]:
    """Check the topics, our rights on them, and the members of the group."""
    kafka = wiring.settings.kafka
    uses = topic_uses(wiring.topic_plans, kafka.results_topic)
    check = KafkaCheck(wiring.kafka_access, uses, kafka.group_id, wiring.replay_group)

    try:
        return await check.run()
    except (KafkaUnavailable, OSError) as error:
        reason = str(error) if isinstance(error, KafkaUnavailable) else type(error).__name__
        text = f"no usable answer from {wiring.kafka_access.bootstrap_servers} ({reason})."
        fix = "start Kafka, or correct SIGNIN_KAFKA__BOOTSTRAP_SERVERS, the security settings or the network."
        return [Finding.failed("Kafka", text, fix)]


async def check_temporal(wiring: Wiring) -> list[Finding]:
    """Check the namespace and its retention, our rights, and the workers that poll."""
    try:
        client = await wiring.temporal()
        problem = await wiring.retention_problem(client)
    except TemporalSettingsError as error:
        fix = "correct the TEMPORAL_* variables or the profile."
        return [Finding.failed("Temporal", f"{error}.", fix, os.EX_CONFIG)]
    except TemporalUnavailable:
        fix = "start Temporal, or correct TEMPORAL_ADDRESS and TEMPORAL_TLS_*."
        return [Finding.failed("Temporal", "no answer.", fix)]
    except RPCError as error:
        text = f"the namespace cannot be used ({error.status.name})."
        fix = "run signin-worker temporal create, or correct TEMPORAL_NAMESPACE and TEMPORAL_API_KEY."
        return [Finding.failed("Temporal", text, fix)]

    temporal = wiring.settings.temporal
    queue = temporal.task_queue
    workflow_queues = [queue, mailbox_task_queue(queue)]
    ring = list(wiring.settings.keys.payload.get_secret_value())
    findings = [
        await _namespace(wiring.settings, client, problem),
        await check_rights(client),
        await check_task_queues(client, [*workflow_queues, mail_task_queue(queue)]),
        await check_payload_keys(client, ring, workflow_queues, datetime.now(UTC)),
    ]
    if temporal.deployment is not None:
        findings.append(await check_release(Releases(client, temporal.deployment), temporal.build_id))
    elif wiring.settings.environment == "production":
        findings.append(NO_DEPLOYMENT)
    return findings


async def _namespace(settings: Settings, client: Client, problem: str | None) -> Finding:
    if problem is not None:
        fix = "lower SIGNIN_REPLAY_HORIZON_S or raise the retention."
        return Finding.failed("Temporal", problem, fix, os.EX_CONFIG)

    text = f"namespace {client.namespace} at {client.service_client.config.target_host}"
    if settings.temporal.search_attributes == "auto" and not await shows_mailboxes(client, "auto"):
        return Finding.warning("Temporal", f"{text}, without search attributes.", "signin-worker temporal create")

    return Finding.passed("Temporal", f"{text}.")


async def check_smtp(wiring: Wiring) -> list[Finding]:
    """Check that the mail server lets us log in. Sends nothing."""
    smtp = wiring.settings.smtp

    try:
        mailer = wiring.mailer()
    except TemplatesError as error:  # they have changed since the settings were read
        text = f"SIGNIN_MAIL__TEMPLATES cannot be used. {error}"
        return [Finding.failed("SMTP", text, "see docs/mail.md.", os.EX_CONFIG)]

    return [await check_mail_server(mailer, f"{smtp.host}:{smtp.port}")]


async def check_turnstile(wiring: Wiring) -> list[Finding]:
    """Check our secret with a token that siteverify cannot know."""
    url = wiring.settings.turnstile.url
    client = wiring.siteverify()

    try:
        answer = await client.siteverify(token=_UNKNOWN_TOKEN, ip=None, idempotency_key=str(uuid.uuid4()))
    except ChallengeUnavailable:
        fix = "check SIGNIN_TURNSTILE__URL and the network."
        return [Finding.failed("Turnstile", f"no usable answer from {url}.", fix)]
    finally:
        await client.close()

    return [_challenge(wiring.settings, answer.success, answer.error_codes)]


def _challenge(settings: Settings, success: bool, codes: Sequence[str]) -> Finding:
    url = settings.turnstile.url

    if success:
        is_tolerable = settings.environment != "production"
        text = f"{url} accepts a token that nobody issued: everybody passes the challenge."
        fix = "set SIGNIN_TURNSTILE__SECRET to the secret of your widget."
        return Finding("Turnstile", is_tolerable, text, fix)

    if _SECRET_REJECTED & set(codes):
        return Finding.failed("Turnstile", "siteverify does not know the secret.", "correct SIGNIN_TURNSTILE__SECRET.")

    if _TOKEN_REJECTED not in codes:
        shown = ", ".join(code for code in codes if re.fullmatch("[a-z-]{1,40}", code)) or "no known code"
        return Finding.failed("Turnstile", f"{url} rejects a made-up token with {shown}.", "try again later.")

    return Finding.passed("Turnstile", f"{url} answers and knows the secret.")


async def check_dns(wiring: Wiring) -> list[Finding]:
    """Check DNS with a domain that cannot exist: a yes means that there was no usable answer."""
    if not await wiring.mail_domains().accept_mail(_UNKNOWN_DOMAIN):
        return [Finding.passed("DNS", "answers.")]

    text = "no answer, or a positive one for a domain that cannot exist."
    fix = "check SIGNIN_DNS__NAMESERVERS and __PORT; until then every domain counts as deliverable."
    return [Finding.failed("DNS", text, fix)]
