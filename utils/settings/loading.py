"""Reads the settings, and refuses the unsafe ones (CONTRACT: settings; SECURITY S12, S17, S18).

Every problem is found at once and is a sentence that names the variable and says what to do. No sentence ever holds a
value: it may be a secret.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.topics import DEAD_LETTER_SUFFIX, dead_letter_topic
from utils.settings.environment import PREFIX, read_tree, unknown_variables, variable_name
from utils.settings.guesses import MOST_LIKELY_GUESS, guess_probability
from utils.settings.key_rings import MAKE_A_KEY
from utils.smtp.mail_templates import MailTemplates, TemplatesError
from utils.settings.model import Settings

__all__ = ["Settings", "SettingsError", "guess_chance", "load_settings"]

_DAY_S: Final = 86_400
_MADE_UP: Final = "one is made for this process only"
# What has a stand-in in development only: the variable's place, what to do, and the stand-in.
_NEEDED: Final = (
    ("smtp", "host", "set it to the name of your mail server", "localhost is taken"),
    ("smtp", "sender", "set it to the address that mails come from", "signin@signin-worker.test is taken"),
    ("turnstile", "secret", "set it to the secret of your widget", "Cloudflare's always-passing test secret is taken"),
    ("keys", "account", MAKE_A_KEY, _MADE_UP),
    ("keys", "code", f"give id:base64, newest first; {MAKE_A_KEY}", _MADE_UP),
    ("keys", "payload", f"give id:base64, newest first; {MAKE_A_KEY}", _MADE_UP),
)


class SettingsError(Exception):
    """Raised when the worker can't or must not run with its settings. ``problems`` are sentences."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_settings(
    environ: Mapping[str, str],
    warn: Callable[[str], None] = lambda sentence: None,
    only: str | tuple[str, ...] = PREFIX,
) -> Settings:
    """Read the settings; ``warn`` gets a sentence for all that is odd but allowed. Raises ``SettingsError``.

    With ``only``, problems of variables that do not start so are let pass: who emits an event needs no mail server.
    """
    tree, problems = read_tree(environ, Settings)
    settings, invalid = _parsed(tree)
    problems += [_sentence(error) for error in invalid]
    blamed = {sentence.split()[0].removesuffix("_FILE") for sentence in problems}
    # A variable with a bad value is left out before the rules are asked, so it must not be called missing as well.
    problems += _of_others(_contradictions(settings), blamed)
    unsafe = _of_others(_unsafe(settings), blamed)
    if settings.environment == "production":
        problems += unsafe
    if concerning := [sentence for sentence in problems if sentence.startswith(only)]:
        raise SettingsError(concerning)
    odd = [*unknown_variables(environ, Settings), *_oddities(settings)]
    for sentence in odd if settings.environment == "production" else [*unsafe, *odd]:
        if sentence.startswith(only):
            warn(sentence)
    return settings


def _parsed(tree: dict[str, Any]) -> tuple[Settings, list[ErrorDetails]]:
    """Return the settings, without the values that are invalid, and the errors of these."""
    try:
        return Settings(**tree), []
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    for path in {_path(each) for each in errors}:
        branch = tree
        for part in path[:-1]:
            branch = branch[part]
        del branch[path[-1]]
    return Settings(**tree), errors


def _path(error: ErrorDetails) -> tuple[str, ...]:
    """Return the place of the variable; inside of a list or a union pydantic goes on with a number or a type."""
    section = str(error["loc"][0])
    field = Settings.model_fields[section]
    is_section = field.default_factory is not None
    return tuple(str(part) for part in error["loc"][: 2 if is_section else 1])


def _sentence(error: ErrorDetails) -> str:
    text = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{variable_name(*_path(error))} is not valid: {text[:1].lower()}{text[1:]}."


def _of_others(sentences: Iterator[str], blamed: set[str]) -> list[str]:
    return [sentence for sentence in sentences if sentence.split()[0] not in blamed]


def _contradictions(settings: Settings) -> Iterator[str]:
    """Tell what cannot work anywhere."""
    kafka = settings.kafka
    if kafka.security_protocol.startswith("SASL"):
        for name in ("sasl_username", "sasl_password"):
            if getattr(kafka, name) is None:
                yield f"{variable_name('kafka', name)} is missing: SIGNIN_KAFKA__SECURITY_PROTOCOL asks for SASL."
    inbound = (kafka.requested_topic, kafka.submitted_topic)
    topics = (*inbound, *map(dead_letter_topic, inbound), kafka.results_topic)
    if len(set(topics)) < len(topics):
        yield (
            "SIGNIN_KAFKA__REQUESTED_TOPIC, SIGNIN_KAFKA__SUBMITTED_TOPIC and SIGNIN_KAFKA__RESULTS_TOPIC must differ "
            "from each other and from the dead letters' topics, which are the first two with "
            f"{DEAD_LETTER_SUFFIX} appended."
        )
    if (settings.smtp.username is None) != (settings.smtp.password is None):
        yield "SIGNIN_SMTP__USERNAME and SIGNIN_SMTP__PASSWORD go together: set both or neither."
    if settings.replay_horizon_s < settings.max_event_age_s + settings.otp.lifetime_s:
        yield (
            "SIGNIN_REPLAY_HORIZON_S is too short: it must be at least SIGNIN_MAX_EVENT_AGE_S plus "
            "SIGNIN_OTP__LIFETIME_S, or codes that are in time are ignored."
        )
    try:
        MailTemplates(settings.mail.templates)
    except TemplatesError as error:
        yield f"{variable_name('mail', 'templates')} cannot be used. {error}"


def _unsafe(settings: Settings) -> Iterator[str]:
    """Tell what production refuses and development is warned of."""
    development = settings.environment == "development"
    for section, name, remedy, stand_in in _NEEDED:
        if name not in getattr(settings, section).model_fields_set:
            yield f"{variable_name(section, name)} is missing: {stand_in if development else remedy}."
    if settings.smtp.security == "none":
        yield "SIGNIN_SMTP__SECURITY is none, which sends codes in clear: use starttls or tls in production."
    turnstile = settings.turnstile
    if "secret" in turnstile.model_fields_set and turnstile.has_test_secret:
        yield "SIGNIN_TURNSTILE__SECRET is one of Cloudflare's test secrets: use your own widget's in production."
    if not turnstile.hostnames:
        yield "SIGNIN_TURNSTILE__HOSTNAMES has no entry: name the hosts of your sign-in pages, separated by commas."
    if settings.times.linger_s < _DAY_S:
        yield f"SIGNIN_TIMES__LINGER_S is below {_DAY_S}: budgets reach back a day, a shorter linger forgets them."
    yield from _guessable(settings)


def guess_chance(settings: Settings) -> float:
    """Return the chance that a guesser opens one account in a year (SECURITY S18)."""
    tries = settings.limits.failures_per_day + settings.limits.trusted_failures_per_day
    return guess_probability(digits=settings.otp.digits, tries_per_day=tries)


def _guessable(settings: Settings) -> Iterator[str]:
    chance = guess_chance(settings)
    if chance > MOST_LIKELY_GUESS:
        yield (
            f"SIGNIN_OTP__DIGITS is too small for SIGNIN_LIMITS__FAILURES_PER_DAY and "
            f"SIGNIN_LIMITS__TRUSTED_FAILURES_PER_DAY: an account is guessed within a year with a probability of "
            f"{chance:.1e}, above {MOST_LIKELY_GUESS:.0e}; use more digits or fewer failures."
        )


def _oddities(settings: Settings) -> Iterator[str]:
    if settings.environment == "production" and not settings.turnstile.url.startswith("https://"):
        yield "SIGNIN_TURNSTILE__URL is not https: Turnstile's secret travels in clear."
