"""What the commands for operators look like on a terminal: ``docs/screens``, written by ``python -m tests.docs``."""

import dataclasses
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console

from deploy.local.places import PROJECT
from schemas.limits import BudgetUse
from schemas.topics import REQUESTED_TOPIC, RESULTS_TOPIC, SUBMITTED_TOPIC
from utils.cli.limits import screen, title
from utils.cli.status import screen as status_screen
from utils.cli.trace import screen as trace_screen
from tests.docs.screen_samples import STATUS, TRACE
from utils.kafka.access import KafkaAccess
from utils.checks.kafka import KafkaCheck, topic_uses
from utils.kafka.metadata import (
    DESCRIBE,
    DESCRIBE_CONFIGS,
    READ,
    WRITE,
    GroupDescription,
    ClusterDescription,
    TopicDescription,
)
from utils.kafka.topics import planned_topics
from utils.cli.rich_output import print_verdict
from utils.checks.finding import Finding

FOLDER: Final = PROJECT / "docs" / "screens"
WIDTHS: Final = (80, 160)

_NOW: Final = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
_ALL: Final = frozenset({DESCRIBE, READ, WRITE, DESCRIBE_CONFIGS})
_PLANS: Final = planned_topics(REQUESTED_TOPIC, SUBMITTED_TOPIC, RESULTS_TOPIC)
_BUDGETS: Final = (
    BudgetUse(
        budget="mails",
        last_hour=3,
        most_per_hour=5,
        last_day=4,
        most_per_day=20,
        by_one_network=3,
        most_by_one_network=10,
        in_a_row=None,
        most_in_a_row=None,
        free_at=None,
    ),
    BudgetUse(
        budget="failures",
        last_hour=10,
        most_per_hour=10,
        last_day=12,
        most_per_day=20,
        by_one_network=7,
        most_by_one_network=10,
        in_a_row=12,
        most_in_a_row=100,
        free_at=_NOW + timedelta(minutes=41),
    ),
    BudgetUse(
        budget="trusted failures",
        last_hour=5,
        most_per_hour=None,
        last_day=5,
        most_per_day=5,
        by_one_network=5,
        most_by_one_network=None,
        in_a_row=12,
        most_in_a_row=100,
        free_at=_NOW + timedelta(hours=23, minutes=5),
    ),
)


def screens() -> Iterator[tuple[Path, str]]:
    """Yield each file with its text."""
    commands: dict[str, Callable[[Console], None]]
    commands = {"check": _check, "limits": _limits, "status": _status, "trace": _trace}

    for name, show in commands.items():
        for width in WIDTHS:
            yield FOLDER / f"{name}-{width}.txt", _printed(show, width)


def _printed(show: Callable[[Console], None], width: int) -> str:
    file = io.StringIO()
    show(Console(file=file, width=width, force_terminal=True, color_system=None))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def write() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for file, text in screens():
        file.write_text(text)


def _check(console: Console) -> None:
    for each in (*_settings(), *_kafka(), *_others()):
        print_verdict(console, each.verdict, each.name, each.text, each.fix)


def _settings() -> list[Finding]:
    keys = "complete for production; code keys: 2026-11, 2026-08; payload keys: 2026-11."
    guess = "a year of guessing opens an account with a probability of 9.1e-05; at most 1e-04 is allowed."
    return [Finding.passed("settings", keys), Finding.passed("settings", guess)]


def _kafka() -> list[Finding]:
    """Judge three brokers on which a topic was created by hand and a right was forgotten."""
    fine = TopicDescription(partitions=6, replicas=3, in_sync=3, rights=_ALL)
    topics = {plan.name: fine for plan in _PLANS}
    topics["signin.requested.dlt"] = dataclasses.replace(fine, rights=_ALL - {WRITE})

    settings = {plan.name: {"min.insync.replicas": "2", **plan.settings} for plan in _PLANS}
    settings["otp.submitted"] = {"min.insync.replicas": "1", "message.timestamp.type": "CreateTime"}
    settings["otp.submitted"] |= {"cleanup.policy": "delete"}

    access = KafkaAccess("kafka.example.com:9093", "SASL_SSL", username="signin-worker")
    groups = dict.fromkeys(("signin-worker", "signin-worker.dlt-replay"), GroupDescription("Stable", "range", 4, _ALL))
    check = KafkaCheck(access, topic_uses(_PLANS, "signin.results"), *groups)

    return check.judge(ClusterDescription(3, topics, groups), settings)


def _others() -> list[Finding]:
    workers = "workers that polled within the last minute: signin (4), signin-mailbox (4), signin-mail (4)."
    refused = "mail.example.com:587 cannot be used: it refuses the login (535)."
    url = "https://challenges.cloudflare.com/turnstile/v0/siteverify"

    return [
        Finding.passed("Temporal", "namespace signin at temporal.example.com:7233."),
        Finding.passed("Temporal rights", "we may signal workflows."),
        Finding.passed("Temporal task queues", workers),
        Finding.passed("Temporal payload keys", "2026-11 encrypts."),
        Finding.failed("SMTP", refused, "check SIGNIN_SMTP__USERNAME and __PASSWORD."),
        Finding.passed("Turnstile", f"{url} answers and knows the secret."),
        Finding.passed("DNS", "answers."),
    ]


def _limits(console: Console) -> None:
    console.print(screen(title("ada@example.com", 2, cleared=False), _BUDGETS, _NOW))


def _status(console: Console) -> None:
    console.print(status_screen(STATUS))


def _trace(console: Console) -> None:
    console.print(trace_screen(TRACE))
