"""A check of everything that the worker depends on: whether it is there, set up right, and lets us do what we must.

Each line that is not well says what to do. Nothing is sent, written or made.
"""

import os
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError

from activities.errors import ChallengeUnavailable, TemporalUnavailable
from consumers.ports import KafkaUnavailable
from utils.checks.finding import Finding, Probe
from utils.settings.guesses import MAX_GUESS_PROBABILITY
from utils.checks.kafka import KafkaCheck, topic_uses
from utils.settings.loading import Settings
from utils.checks.smtp import check_mail_server
from utils.temporal.client import TemporalSettingsError
from utils.checks.temporal import check_rights, check_task_queues
from utils.temporal.namespace import shows_mailboxes
from utils.wiring import Wiring
from workflows.names import mail_task_queue, mailbox_task_queue

_UNKNOWN_TOKEN: Final = "signin-worker-check"
_UNKNOWN: Final = "invalid-input-response"
_SECRET: Final = {"invalid-input-secret", "missing-input-secret"}


def settings_findings(settings: Settings, warnings: Sequence[str]) -> list[Finding]:
    """Return what a check says of settings that can be used. Ids of keys are shown, to follow a rotation."""
    codes, payloads = (", ".join(ring.get_secret_value()) for ring in (settings.keys.code, settings.keys.payload))
    text = f"complete for {settings.environment}; code keys: {codes}; payload keys: {payloads}."
    chance = f"a guesser opens one account in a year with a probability of {settings.guess_probability:.1e}"
    return [
        Finding("settings", True, text),
        Finding("settings", True, f"{chance}, at most {MAX_GUESS_PROBABILITY:.0e} is allowed."),
        *(Finding("settings", True, warning, warns=True) for warning in warnings),
    ]


def probes(wiring: Wiring) -> list[Probe]:
    """Return a check of each dependency."""
    checks: list[Callable[[Wiring], Awaitable[Sequence[Finding]]]]
    checks = [check_kafka, check_temporal, check_smtp, check_turnstile, check_dns]
    return [partial(check, wiring) for check in checks]


async def check_kafka(wiring: Wiring) -> list[Finding]:
    """Tell whether the topics are there and as planned, what we may do with them, and who is in the group."""
    kafka = wiring.settings.kafka
    access = wiring.kafka_access
    uses = topic_uses(wiring.topic_plans, kafka.results_topic)
    check = KafkaCheck(access, uses, kafka.group_id, wiring.replay_group)
    try:
        return await check.run()
    except (KafkaUnavailable, OSError) as error:
        fix = "start it, or correct SIGNIN_KAFKA__BOOTSTRAP_SERVERS, the security settings beside it, and the network."
        text = f"no usable answer from {access.bootstrap_servers} ({_named(error)})."
        return [Finding("Kafka", False, text, fix)]


async def check_temporal(wiring: Wiring) -> list[Finding]:
    """Tell whether the namespace is there and remembers for long enough, whether we may write, and who polls."""
    try:
        client = await wiring.temporal()
        problem = await wiring.retention_problem(client)
    except TemporalSettingsError as error:
        fix = "correct the variables TEMPORAL_* or the profile."
        return [Finding("Temporal", False, f"{error}.", fix, os.EX_CONFIG)]
    except TemporalUnavailable:
        fix = "start it, or correct TEMPORAL_ADDRESS and TEMPORAL_TLS_*."
        return [Finding("Temporal", False, "no answer.", fix)]
    except RPCError as error:
        fix = "signin-worker temporal create, or correct TEMPORAL_NAMESPACE and TEMPORAL_API_KEY."
        return [Finding("Temporal", False, f"the namespace cannot be used ({error.status.name}).", fix)]
    queue = wiring.settings.temporal.task_queue
    return [
        await _namespace(wiring.settings, client, problem),
        await check_rights(client),
        await check_task_queues(client, [queue, mailbox_task_queue(queue), mail_task_queue(queue)]),
    ]


async def _namespace(settings: Settings, client: Client, problem: str | None) -> Finding:
    if problem is not None:
        return Finding("Temporal", False, problem, "lower the one or raise the other.", os.EX_CONFIG)
    text = f"namespace {client.namespace} at {client.service_client.config.target_host}"
    if settings.temporal.search_attributes == "auto" and not await shows_mailboxes(client, "auto"):
        return Finding("Temporal", True, f"{text}, without search attributes.", "signin-worker temporal create")
    return Finding("Temporal", True, f"{text}.")


async def check_smtp(wiring: Wiring) -> list[Finding]:
    """Tell whether the mail server lets us in. Sends nothing."""
    smtp = wiring.settings.smtp
    return [await check_mail_server(wiring.mailer(), f"{smtp.host}:{smtp.port}")]


async def check_turnstile(wiring: Wiring) -> list[Finding]:
    """Tell whether siteverify answers, by a token that it cannot know, and whether it knows our secret."""
    client = wiring.siteverify()
    url = wiring.settings.turnstile.url
    try:
        answer = await client.siteverify(token=_UNKNOWN_TOKEN, ip=None, idempotency_key=str(uuid.uuid4()))
    except ChallengeUnavailable:
        fix = "check SIGNIN_TURNSTILE__URL and the network."
        return [Finding("Turnstile", False, f"no usable answer from {url}.", fix)]
    finally:
        await client.close()
    return [_verdict(wiring.settings, answer.success, answer.error_codes)]


def _verdict(settings: Settings, success: bool, codes: Sequence[str]) -> Finding:
    url, real = settings.turnstile.url, settings.environment == "production"
    if success:
        text = f"{url} lets a token pass that nobody issued: everybody counts as a person."
        return Finding("Turnstile", not real, text, "set SIGNIN_TURNSTILE__SECRET to the secret of your widget.")
    if _SECRET & set(codes):
        return Finding("Turnstile", False, "siteverify does not know the secret.", "correct SIGNIN_TURNSTILE__SECRET.")
    if _UNKNOWN not in codes:
        told = ", ".join(code for code in codes if re.fullmatch("[a-z-]{1,40}", code)) or "nothing that we know"
        return Finding("Turnstile", False, f"{url} answers {told} to a token that nobody issued.", "try again later.")
    return Finding("Turnstile", True, f"{url} answers, and knows the secret.")


async def check_dns(wiring: Wiring) -> list[Finding]:
    """Tell whether DNS answers: ``.invalid`` does not exist (RFC 6761), so a yes means that nobody answered."""
    if not await wiring.mail_domains().accept_mail("signin-worker-check.invalid"):
        return [Finding("DNS", True, "answers.")]
    fix = "check SIGNIN_DNS__NAMESERVERS and __PORT; until then every domain counts as deliverable."
    return [Finding("DNS", False, "no answer, or one for a name that does not exist.", fix)]


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, KafkaUnavailable) else type(error).__name__
