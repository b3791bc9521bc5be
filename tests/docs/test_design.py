"""DESIGN.md and docs/security.md: every room has its line, and every number matches the code."""

import re
from pathlib import Path

import pytest

from consumers.gateway.breaker import Breaker
from consumers.decode import MAX_VALUE_BYTES
from consumers.gateway.limiter import AdaptiveLimit
from consumers.polling.limits import ConsumerLimits
from schemas.policy import Policy
from tests.docs.documents import DESIGN, code, rows, section
from deploy.local.places import PROJECT
from utils.settings.guesses import MAX_GUESS_PROBABILITY, guess_probability
from utils.kafka.source import SETTINGS
from utils.settings.sections import ConsumerSettings
from utils.temporal.workers import STICKY_WAIT
from workflows.rules.attempts import MAX_LIVE_SIGN_INS
from workflows.rules.outbox import MAX_CARRIED_RESULTS, MAX_LOCKED_ANSWERS, MAX_OVERFLOW_RESULTS
from workflows.rules.pace import INTERVAL, PUBLICATIONS_AT_ONCE
from workflows.rules.submissions import MAX_QUEUED, MAX_WAITING
from workflows.run_limits import LAST_AGE, LAST_EVENTS, MAX_AGE, MAX_EVENTS
from workflows.rules.memory import MAX_ENDED_SIGN_INS, MAX_SEEN_SUBMISSIONS
from workflows.timeouts import DURABLE_TIMEOUT, HEARTBEAT_TIMEOUT, LOCAL_TIMEOUT, WORKFLOW_TASK_TIMEOUT

PACKAGES = ("consumers", "workflows", "activities", "schemas", "utils", "deploy")
SECURITY = PROJECT / "docs" / "security.md"
POLICY = Policy()
CONSUMER = ConsumerSettings()
LOOP = ConsumerLimits()
LIMITS = {
    "records in flight, per process": (CONSUMER.max_in_flight, CONSUMER.max_in_flight_bytes // 1024**2),
    "read ahead of the watermark, per partition": (LOOP.max_read_ahead,),
    "concurrent calls to Temporal": (AdaptiveLimit().limit, CONSUMER.max_calls),
    "drain in a rebalance or at the end": (CONSUMER.drain_s,),
    "session, rebalance, poll interval": tuple(
        SETTINGS[f"{name}_ms"] / 1000 for name in ("session_timeout", "rebalance_timeout", "max_poll_interval")
    ),
    "value of an event": (MAX_VALUE_BYTES // 1024,),
    "local try, durable try": (LOCAL_TIMEOUT.total_seconds(), DURABLE_TIMEOUT.total_seconds()),
    "silence of an activity, and a workflow task, before another worker gets it": (
        HEARTBEAT_TIMEOUT.total_seconds(),
        WORKFLOW_TASK_TIMEOUT.total_seconds(),
    ),
    "a workflow task waits for the worker that has the workflow cached": (STICKY_WAIT.total_seconds(),),
    "signals and events per run": (POLICY.signals_per_run, MAX_EVENTS, LAST_EVENTS),
    "age of a run, in hours": (MAX_AGE.total_seconds() / 3_600, LAST_AGE.total_seconds() / 3_600),
    "submissions that wait for their sign-in": (MAX_WAITING,),
    "submissions that wait for their turn beyond the tries left": (MAX_QUEUED,),
    "publications of a mailbox that are not full": (PUBLICATIONS_AT_ONCE, INTERVAL.total_seconds()),
    "live sign-ins per mailbox": (MAX_LIVE_SIGN_INS,),
    "results carried over, and handed to an overflow workflow": (MAX_CARRIED_RESULTS, MAX_OVERFLOW_RESULTS),
    "unpublished results of a live sign-in, beyond which `locked` is dropped": (MAX_LOCKED_ANSWERS,),
    "remembered per mailbox": (MAX_ENDED_SIGN_INS, MAX_ENDED_SIGN_INS, MAX_ENDED_SIGN_INS, MAX_SEEN_SUBMISSIONS),
}


def numbers(text: str) -> list[float]:
    """Return the numbers in a text; commas divide thousands."""
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def rooms() -> set[str]:
    """Return the folders that a reader has to know: packages, what is deployed, and each kind of test."""
    packages = {path.parent for top in PACKAGES for path in (PROJECT / top).rglob("__init__.py")}
    tops = ("deploy", "examples", "tests")
    folders = {path for top in tops for path in (PROJECT / top).iterdir() if holds_files(path)}

    return {str(path.relative_to(PROJECT)) for path in packages | folders}


def holds_files(folder: Path) -> bool:
    """Tell whether a folder holds anything but what Python leaves behind."""
    return any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*"))


def test_every_room_stands_in_the_map() -> None:
    """A room without a line is unknown, and a line without a room misleads."""
    table = [code(room)[0] for room, _ in rows(section(DESIGN, "Map of rooms"))]

    assert set(table) == rooms() | {"signin_worker.py", "requirements", ".github/workflows"}
    assert len(table) == len(set(table))
    assert all((PROJECT / room).exists() for room in table)


def test_every_room_says_what_is_in_it() -> None:
    """Each line of the map has a text beside the name."""
    assert all(len(about) > 10 for _, about in rows(section(DESIGN, "Map of rooms")))


@pytest.mark.parametrize("what", LIMITS)
def test_limits_are_those_of_the_code(what: str) -> None:
    """Each row of the table begins with the numbers that apply."""
    table = {row[0]: row[1] for row in rows(section(DESIGN, "Limits and numbers"))}

    assert numbers(table[what])[: len(LIMITS[what])] == list(map(float, LIMITS[what]))


def test_the_places_of_limits_and_rules_are_there() -> None:
    """Every file that a table names as the place of a rule exists."""
    tables = [section(DESIGN, "Limits and numbers"), section(DESIGN, "Where is it decided …"), SECURITY.read_text()]
    places = {place for text in tables for row in rows(text) for place in code(row[-1]) if "/" in place}

    assert len(places) > 10
    assert all((PROJECT / place).exists() for place in places)


def test_the_breaker_has_the_numbers_of_the_table() -> None:
    """It opens after five failures and probes after half a second, at most 15 s."""
    assert Breaker.__init__.__defaults__ is not None
    assert Breaker.__init__.__defaults__[:3] == (5, 0.5, 15.0)


def test_security_states_the_defaults() -> None:
    """Each budget on the page equals the default in the code."""
    limits = POLICY.limits
    otp = POLICY.otp
    rules = {row[0]: row[1] for row in rows(SECURITY.read_text()) if row[0][0] == "S" and row[0][1:].isdigit()}

    assert list(rules) == [f"S{number}" for number in range(1, 19)]
    assert numbers(rules["S1"])[:3] == [otp.digits, 6, 10]
    assert numbers(rules["S2"])[:2] == [otp.lifetime_s, 600]
    assert numbers(rules["S3"])[:1] == [otp.max_attempts]
    assert numbers(rules["S4"])[:3] == [limits.failures_per_hour, limits.failures_per_day, limits.failures_in_a_row]
    assert limits.trusted_failures_per_day == numbers(rules["S5"])[0]
    assert numbers(rules["S9"])[:3] == [limits.send_cooldown_s, limits.sends_per_hour, limits.sends_per_day]
    assert numbers(rules["S10"]) == [otp.shortest_resend_s]
    assert numbers(rules["S12"])[-1] == POLICY.times.challenge_s


def test_security_states_the_chance_of_guessing() -> None:
    """Both figures follow the formula: eight digits are allowed, seven are not."""
    text = section(SECURITY, "The chance of guessing (S18)")
    limits = POLICY.limits
    tries = limits.failures_per_day + limits.trusted_failures_per_day
    eight, seven = (guess_probability(digits=digits, tries_per_day=tries) for digits in (8, 7))

    assert eight <= MAX_GUESS_PROBABILITY < seven
    assert f"{tries} · 365" in text
    assert all(f"{chance:.1e}".replace("e-0", "e-") in text for chance in (eight, seven))
