"""DESIGN.md and docs/security.md: every file has its line, every number is the one in the code."""

import re

import pytest

from consumers.gateway.breaker import Breaker
from consumers.decode import MAX_VALUE_BYTES
from consumers.gateway.limiter import AdaptiveLimit
from consumers.polling.loop import LoopLimits
from schemas.policy import Policy
from tests.docs.documents import DESIGN, code, rows, section
from tests.docs.generated import source_files
from deploy.local.places import PROJECT
from utils.settings.guesses import MOST_LIKELY_GUESS, guess_probability
from utils.kafka.source import SETTINGS
from utils.settings.model import ConsumerSettings
from workflows.rules.attempts import MOST_LIVE
from workflows.rules.mailbox import MOST_CARRIED
from workflows.rules.memory import MOST_OVER, MOST_SEEN
from workflows.steps import DURABLE_TRY, LOCAL_TRY

SECURITY = PROJECT / "docs" / "security.md"
POLICY, CONSUMER, LOOP = Policy(), ConsumerSettings(), LoopLimits()
LIMITS = {
    "records in flight, per process": (CONSUMER.max_in_flight, CONSUMER.max_in_flight_bytes // 1024**2),
    "read ahead of the watermark, per partition": (LOOP.span,),
    "calls to Temporal under way": (AdaptiveLimit().limit, CONSUMER.max_calls),
    "drain in a rebalance or at the end": (CONSUMER.drain_s,),
    "session, rebalance, poll interval": tuple(
        SETTINGS[f"{name}_ms"] / 1000 for name in ("session_timeout", "rebalance_timeout", "max_poll_interval")
    ),
    "value of an event": (MAX_VALUE_BYTES // 1024,),
    "local try, durable try": (LOCAL_TRY.total_seconds(), DURABLE_TRY.total_seconds()),
    "signals per run": (POLICY.signals_per_run,),
    "live sign-ins per mailbox": (MOST_LIVE,),
    "results and submissions carried over": (MOST_CARRIED,),
    "remembered per mailbox": (MOST_OVER, MOST_OVER, MOST_SEEN),
}


def numbers(text: str) -> list[float]:
    """Return the numbers in a text; commas divide thousands."""
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def test_every_file_stands_in_the_map_and_no_other() -> None:
    """What is not told is not known, and what is told must be there."""
    told, folder = [], ""
    for line in section(DESIGN, "File map").partition("**The rest**")[0].splitlines():
        if line.startswith("**"):
            folder = (code(line) or [""])[0]
        if line.startswith("* "):
            told.append(folder + code(line)[0])
    assert sorted(told) == source_files()


def test_every_line_of_the_map_says_something() -> None:
    """A file without a docstring has no line to be told by."""
    lines = [line for line in section(DESIGN, "File map").splitlines() if line.startswith("* ")]
    assert all(len(line.partition("`: ")[2]) > 10 for line in lines if "`: " in line)


@pytest.mark.parametrize("what", LIMITS)
def test_limits_are_those_of_the_code(what: str) -> None:
    """The numbers of the table begin with the ones that hold."""
    table = {row[0]: row[1] for row in rows(section(DESIGN, "Limits and numbers"))}
    assert numbers(table[what])[: len(LIMITS[what])] == list(map(float, LIMITS[what]))


def test_the_places_of_limits_and_rules_are_there() -> None:
    """What a table gives as the place of a rule is a file."""
    tables = [section(DESIGN, "Limits and numbers"), SECURITY.read_text()]
    places = {place for text in tables for row in rows(text) for place in code(row[-1]) if "/" in place}
    assert len(places) > 10
    assert all((PROJECT / place).exists() for place in places)


def test_the_breaker_is_as_told() -> None:
    """It opens after five and probes after half a second."""
    assert Breaker.__init__.__defaults__ is not None
    assert Breaker.__init__.__defaults__[:3] == (5, 0.5, 15.0)


def test_security_tells_the_defaults() -> None:
    """Each budget of the page is the one that holds."""
    limits, otp = POLICY.limits, POLICY.otp
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


def test_security_tells_the_chance_of_guessing() -> None:
    """Both figures are those of the formula, and the one is allowed while the other is not."""
    text = section(SECURITY, "The chance of guessing (S18)")
    limits = POLICY.limits
    tries = limits.failures_per_day + limits.trusted_failures_per_day
    eight, seven = (guess_probability(digits=digits, tries_per_day=tries) for digits in (8, 7))
    assert eight <= MOST_LIKELY_GUESS < seven
    assert f"{tries} · 365" in text
    assert all(f"{chance:.1e}".replace("e-0", "e-") in text for chance in (eight, seven))
