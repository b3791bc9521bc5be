"""Rules that span several settings: what cannot work, what production refuses, what is merely odd (SECURITY S12, S18).

Each rule yields sentences. A sentence starts with the name of a variable and says what is
wrong, or what to do. It never contains a secret.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from schemas.topics import DEAD_LETTER_SUFFIX, dead_letter_topic
from utils.settings.environment import variable_name
from utils.settings.guesses import MAX_GUESS_PROBABILITY
from utils.settings.key_rings import MAKE_A_KEY
from utils.settings.model import Settings
from utils.settings.sections import SmtpSettings
from utils.smtp.mail_templates import FALLBACK, SAMPLE_TIME, MailTemplates, TemplatesError, sample_mail
from utils.smtp.message import build_message, envelope_recipient, sender_address

_DAY_S: Final = 86_400
_KAFKA_LOGIN: Final = ("sasl_username", "sasl_password", "oauth_token_url", "oauth_client_id", "oauth_client_secret")
_KAFKA_CERTIFICATES: Final = ("ssl_cafile", "ssl_certfile", "ssl_keyfile")
_RANDOM_KEY: Final = "using a random one for this process only"


class _Required(NamedTuple):
    """A setting that production requires. Development uses a stand-in."""

    section: str
    name: str
    remedy: str
    stand_in: str


_REQUIRED_IN_PRODUCTION: Final = (
    _Required("smtp", "host", "set it to the host name of your mail server", "using localhost"),
    _Required(
        "smtp",
        "sender",
        "set it to the address that mails come from",
        "using signin@signin-worker.test",
    ),
    _Required(
        "turnstile",
        "secret",
        "set it to the secret key of your widget",
        "using a test secret that always passes",
    ),
    _Required("keys", "account", MAKE_A_KEY, _RANDOM_KEY),
    _Required("keys", "code", f"set it to id:base64; {MAKE_A_KEY}", _RANDOM_KEY),
    _Required("keys", "payload", f"set it to id:base64; {MAKE_A_KEY}", _RANDOM_KEY),
)


def contradictions(settings: Settings) -> Iterator[str]:
    """Yield what cannot work in any environment."""
    yield from _missing_credentials(settings)
    yield from _ineffective_credentials(settings)
    yield from _clashing_topics(settings)
    yield from _half_a_login(settings)
    yield from _short_horizon(settings)
    yield from _unusable_mails(settings)


def risks(settings: Settings) -> Iterator[str]:
    """Yield what production refuses and development only warns of."""
    yield from _stand_ins(settings)
    yield from _unencrypted_mail(settings)
    yield from _unencrypted_login(settings)
    yield from _weak_challenge(settings)
    yield from _short_linger(settings)
    yield from _guessable_codes(settings)


def oddities(settings: Settings) -> Iterator[str]:
    """Yield what is allowed everywhere but probably not meant."""
    if settings.environment == "production":
        yield from _unencrypted_secrets(settings)


def _unencrypted_secrets(settings: Settings) -> Iterator[str]:
    if not settings.turnstile.url.startswith("https://"):
        yield "SIGNIN_TURNSTILE__URL is not https: Turnstile's secret is sent unencrypted."

    token_url = settings.kafka.oauth_token_url
    if token_url is not None and not token_url.startswith("https://"):
        yield "SIGNIN_KAFKA__OAUTH_TOKEN_URL is not https: the client secret is sent unencrypted."


def _missing_credentials(settings: Settings) -> Iterator[str]:
    kafka = settings.kafka
    if not kafka.security_protocol.startswith("SASL"):
        return

    if kafka.sasl_mechanism == "OAUTHBEARER":
        required: tuple[str, ...] = ("oauth_token_url", "oauth_client_id", "oauth_client_secret")
        cause = "SIGNIN_KAFKA__SASL_MECHANISM"
    else:
        required = ("sasl_username", "sasl_password")
        cause = "SIGNIN_KAFKA__SECURITY_PROTOCOL"

    for name in required:
        if getattr(kafka, name) is None:
            yield f"{variable_name('kafka', name)} is missing: {cause} requires it."


def _ineffective_credentials(settings: Settings) -> Iterator[str]:
    """Whoever sets them believes that the connection is secured."""
    kafka = settings.kafka
    protocol = kafka.security_protocol
    login = [name for name in _KAFKA_LOGIN if getattr(kafka, name) is not None]
    certificates = [name for name in _KAFKA_CERTIFICATES if getattr(kafka, name) is not None]

    with_login = protocol.startswith("SASL")
    with_tls = protocol.endswith("SSL")
    ignored = [*([] if with_login else login), *([] if with_tls else certificates)]

    if ignored:
        names = _enumerated([variable_name("kafka", name) for name in ignored])
        verb = "has" if len(ignored) == 1 else "have"
        meant = "SASL_SSL" if with_login or login else "SSL"
        yield (
            f"SIGNIN_KAFKA__SECURITY_PROTOCOL is {protocol}, so {names} {verb} no effect: set it to {meant}, or remove "
            f"{'that' if len(ignored) == 1 else 'those'}."
        )

    if kafka.ssl_keyfile is not None and kafka.ssl_certfile is None:
        yield "SIGNIN_KAFKA__SSL_CERTFILE is missing: SIGNIN_KAFKA__SSL_KEYFILE requires it."


def _enumerated(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _clashing_topics(settings: Settings) -> Iterator[str]:
    kafka = settings.kafka
    inbound = (kafka.requested_topic, kafka.submitted_topic)
    topics = (*inbound, *map(dead_letter_topic, inbound), kafka.results_topic)

    if len(set(topics)) < len(topics):
        yield (
            "SIGNIN_KAFKA__REQUESTED_TOPIC, SIGNIN_KAFKA__SUBMITTED_TOPIC and SIGNIN_KAFKA__RESULTS_TOPIC must differ "
            "from each other and from the dead-letter topics, whose names are the first two with "
            f"{DEAD_LETTER_SUFFIX} appended."
        )


def _half_a_login(settings: Settings) -> Iterator[str]:
    if (settings.smtp.username is None) != (settings.smtp.password is None):
        yield "SIGNIN_SMTP__USERNAME and SIGNIN_SMTP__PASSWORD belong together: set both or neither."


def _short_horizon(settings: Settings) -> Iterator[str]:
    if settings.replay_horizon_s < settings.max_event_age_s + settings.otp.lifetime_s:
        yield (
            "SIGNIN_REPLAY_HORIZON_S is too short: it must be at least SIGNIN_MAX_EVENT_AGE_S plus "
            "SIGNIN_OTP__LIFETIME_S, or valid codes are ignored."
        )


def _unusable_mails(settings: Settings) -> Iterator[str]:
    """Build a whole mail in each language: what only shows while headers are encoded would fail every mail."""
    try:
        templates = MailTemplates(settings.mail.templates)
    except TemplatesError as error:
        yield f"{variable_name('mail', 'templates')} cannot be used. {error}"
        return

    if not _can_build(settings.smtp, MailTemplates(), FALLBACK):
        yield f"{variable_name('smtp', 'sender')} cannot be used: no mail can be built with it."
        return

    for language in sorted(templates.languages if settings.mail.templates else ()):
        if not _can_build(settings.smtp, templates, language):
            yield (
                f"{variable_name('mail', 'templates')} cannot be used. {language}.json or a layout: a character "
                "cannot be encoded, or the subject has more than one line. Correct it."
            )


def _can_build(smtp: SmtpSettings, templates: MailTemplates, language: str) -> bool:
    mail = sample_mail(language, domain=smtp.message_id_domain)
    written = templates.render(mail, SAMPLE_TIME)

    try:
        recipient = envelope_recipient(mail.recipient)
        build_message(mail, sender_address(smtp.sender), recipient, written, SAMPLE_TIME).as_bytes()
    except ValueError:  # UnicodeEncodeError is one
        return False
    return True


def _stand_ins(settings: Settings) -> Iterator[str]:
    in_development = settings.environment == "development"

    for required in _REQUIRED_IN_PRODUCTION:
        if required.name not in getattr(settings, required.section).model_fields_set:
            advice = required.stand_in if in_development else required.remedy
            yield f"{variable_name(required.section, required.name)} is missing: {advice}."


def _unencrypted_mail(settings: Settings) -> Iterator[str]:
    if settings.smtp.security == "none":
        yield "SIGNIN_SMTP__SECURITY is none, which sends codes unencrypted: use starttls or tls in production."


def _unencrypted_login(settings: Settings) -> Iterator[str]:
    """SCRAM proves the password without sending it."""
    kafka = settings.kafka
    sent = {"PLAIN": "the password", "OAUTHBEARER": "access tokens"}.get(kafka.sasl_mechanism)

    if kafka.security_protocol == "SASL_PLAINTEXT" and sent is not None:
        yield (
            f"SIGNIN_KAFKA__SECURITY_PROTOCOL is SASL_PLAINTEXT, which sends {sent} unencrypted: use SASL_SSL in "
            "production."
        )


def _weak_challenge(settings: Settings) -> Iterator[str]:
    turnstile = settings.turnstile

    if "secret" in turnstile.model_fields_set and turnstile.has_test_secret:
        yield "SIGNIN_TURNSTILE__SECRET is one of Cloudflare's test secrets: use your own widget's in production."

    if not turnstile.hostnames:
        yield "SIGNIN_TURNSTILE__HOSTNAMES is empty: list the hosts of your sign-in pages, separated by commas."


def _short_linger(settings: Settings) -> Iterator[str]:
    if settings.times.linger_s < _DAY_S:
        yield f"SIGNIN_TIMES__LINGER_S is below {_DAY_S}: daily budgets are forgotten before the day is over."


def _guessable_codes(settings: Settings) -> Iterator[str]:
    probability = settings.guess_probability

    if probability > MAX_GUESS_PROBABILITY:
        yield (
            "SIGNIN_OTP__DIGITS is too small for SIGNIN_LIMITS__FAILURES_PER_DAY and "
            "SIGNIN_LIMITS__TRUSTED_FAILURES_PER_DAY: the probability of guessing into an account within a year is "
            f"{probability:.1e}, above {MAX_GUESS_PROBABILITY:.0e}; use more digits or fewer failures."
        )
