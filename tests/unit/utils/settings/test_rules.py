"""Which combinations of settings are refused or warned about."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.environments import DEVELOPMENT, PRODUCTION, problems, warnings
from utils.settings.guesses import MAX_GUESS_PROBABILITY, guess_probability
from utils.settings.loading import load_settings

PROTOCOL = "SIGNIN_KAFKA__SECURITY_PROTOCOL"
LOGIN = {"SIGNIN_KAFKA__SASL_USERNAME": "u", "SIGNIN_KAFKA__SASL_PASSWORD": "p"}
SCRAM = {"SIGNIN_KAFKA__SASL_MECHANISM": "scram-sha-512"}
TOKENS = {"SIGNIN_KAFKA__OAUTH_CLIENT_SECRET": "s"}


def test_all_missing_settings_are_reported_at_once() -> None:
    """An empty environment is refused with every variable that production requires, and what to set it to."""
    found = problems({})

    assert [problem.split()[0] for problem in found] == [
        "SIGNIN_SMTP__HOST",
        "SIGNIN_SMTP__SENDER",
        "SIGNIN_TURNSTILE__SECRET",
        "SIGNIN_KEYS__ACCOUNT",
        "SIGNIN_KEYS__CODE",
        "SIGNIN_KEYS__PAYLOAD",
        "SIGNIN_TURNSTILE__HOSTNAMES",
    ]
    assert "openssl rand -base64 32" in found[3]


def test_development_requires_nothing_and_warns_of_each_stand_in() -> None:
    """Development runs without any setting; a warning names each stand-in, and keys are random."""
    assert len(warnings(DEVELOPMENT)) == 7

    first = load_settings(DEVELOPMENT).keys
    second = load_settings(DEVELOPMENT).keys

    assert len(first.account.get_secret_value()) == 32
    assert first.code.get_secret_value() != second.code.get_secret_value()


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("SIGNIN_SMTP__SECURITY", "none", "unencrypted"),
        ("SIGNIN_TURNSTILE__SECRET", "1x0000000000000000000000000000000AA", "test secret"),
        ("SIGNIN_TURNSTILE__HOSTNAMES", " , ", "is empty"),
        ("SIGNIN_OTP__DIGITS", "7", "9.1e-04"),
        ("SIGNIN_TIMES__LINGER_S", "3600", "budgets"),
    ],
)
def test_unsafe_settings_are_refused_in_production_and_warned_about_in_development(
    variable: str, value: str, part: str
) -> None:
    """Each unsafe setting is a problem in production and only a warning in development."""
    (problem,) = problems(PRODUCTION | {variable: value})

    assert problem.startswith(variable)
    assert part in problem
    assert problem in warnings(PRODUCTION | DEVELOPMENT | {variable: value})


@pytest.mark.parametrize(
    ("more", "first_words"),
    [
        (
            {"SIGNIN_KAFKA__SECURITY_PROTOCOL": "sasl_ssl", "SIGNIN_KAFKA__SASL_USERNAME": "u"},
            "SIGNIN_KAFKA__SASL_PASSWORD",
        ),
        (
            {
                "SIGNIN_KAFKA__SECURITY_PROTOCOL": "sasl_ssl",
                "SIGNIN_KAFKA__SASL_MECHANISM": "oauthbearer",
                "SIGNIN_KAFKA__OAUTH_TOKEN_URL": "https://issuer.example/token",
                "SIGNIN_KAFKA__OAUTH_CLIENT_SECRET": "s",
            },
            "SIGNIN_KAFKA__OAUTH_CLIENT_ID",
        ),
        (
            LOGIN,
            f"{PROTOCOL} is PLAINTEXT, so SIGNIN_KAFKA__SASL_USERNAME and SIGNIN_KAFKA__SASL_PASSWORD have no effect",
        ),
        ({PROTOCOL: "ssl"} | LOGIN, f"{PROTOCOL} is SSL, so SIGNIN_KAFKA__SASL_USERNAME and "),
        (TOKENS, f"{PROTOCOL} is PLAINTEXT, so SIGNIN_KAFKA__OAUTH_CLIENT_SECRET has no effect: set it to SASL_SSL"),
        (
            {"SIGNIN_KAFKA__SSL_CAFILE": __file__},
            f"{PROTOCOL} is PLAINTEXT, so SIGNIN_KAFKA__SSL_CAFILE has no effect: ",
        ),
        (
            SCRAM | LOGIN | {PROTOCOL: "sasl_plaintext", "SIGNIN_KAFKA__SSL_CAFILE": __file__},
            f"{PROTOCOL} is SASL_PLAINTEXT, so SIGNIN_KAFKA__SSL_CAFILE has no effect: set it to SASL_SSL",
        ),
        (
            LOGIN | {"SIGNIN_KAFKA__SSL_CERTFILE": __file__, "SIGNIN_KAFKA__SSL_KEYFILE": __file__},
            f"{PROTOCOL} is PLAINTEXT, so SIGNIN_KAFKA__SASL_USERNAME, SIGNIN_KAFKA__SASL_PASSWORD, ",
        ),
        ({PROTOCOL: "ssl", "SIGNIN_KAFKA__SSL_KEYFILE": __file__}, "SIGNIN_KAFKA__SSL_CERTFILE is missing: "),
        ({"SIGNIN_SMTP__USERNAME": "u"}, "SIGNIN_SMTP__USERNAME and SIGNIN_SMTP__PASSWORD"),
        ({"SIGNIN_REPLAY_HORIZON_S": "599"}, "SIGNIN_REPLAY_HORIZON_S is too short"),
        ({"SIGNIN_KAFKA__SUBMITTED_TOPIC": "signin.requested"}, "SIGNIN_KAFKA__REQUESTED_TOPIC"),
        ({"SIGNIN_KAFKA__RESULTS_TOPIC": "otp.submitted"}, "SIGNIN_KAFKA__REQUESTED_TOPIC"),
        ({"SIGNIN_KAFKA__RESULTS_TOPIC": "signin.requested.dlt"}, "SIGNIN_KAFKA__REQUESTED_TOPIC"),
        ({"SIGNIN_KAFKA__REQUESTED_TOPIC": "otp.submitted.dlt"}, "SIGNIN_KAFKA__REQUESTED_TOPIC"),
    ],
)
def test_contradictory_settings_are_refused_in_every_environment(more: dict[str, str], first_words: str) -> None:
    """Settings that cannot work together are refused in development too."""
    for environ in (PRODUCTION | more, PRODUCTION | DEVELOPMENT | more):
        (problem,) = problems(environ)
        assert problem.startswith(first_words)


@pytest.mark.parametrize(
    "login",
    [
        LOGIN,
        TOKENS
        | {
            "SIGNIN_KAFKA__SASL_MECHANISM": "oauthbearer",
            "SIGNIN_KAFKA__OAUTH_TOKEN_URL": "https://issuer.example/token",
            "SIGNIN_KAFKA__OAUTH_CLIENT_ID": "c",
        },
    ],
    ids=["PLAIN", "OAUTHBEARER"],
)
def test_a_login_to_kafka_in_clear_is_refused_in_production(login: dict[str, str]) -> None:
    """PLAIN sends the password itself, and OAUTHBEARER a token that anyone can use. Development warns."""
    environ = PRODUCTION | login | {PROTOCOL: "sasl_plaintext"}
    (problem,) = problems(environ)

    assert problem.startswith(f"{PROTOCOL} is SASL_PLAINTEXT, which sends ")
    assert problem in warnings(environ | DEVELOPMENT)


def test_scram_proves_the_password_without_sending_it() -> None:
    """It is accepted on a connection without TLS, as no login at all is."""
    settings = load_settings(PRODUCTION | LOGIN | SCRAM | {PROTOCOL: "sasl_plaintext"})
    assert settings.kafka.sasl_mechanism == "SCRAM-SHA-512"


def test_an_invalid_protocol_is_the_only_problem_of_a_login() -> None:
    """Whether the login has an effect depends on what was meant."""
    (problem,) = problems(PRODUCTION | LOGIN | {PROTOCOL: "tls"})
    assert problem.startswith(f"{PROTOCOL} is not valid")


@pytest.mark.parametrize("subject", ["Your\N{LINE SEPARATOR}code", "Your\rcode", "Your \ud800 code"])
def test_templates_that_no_mail_can_be_built_with_are_refused(tmp_path: Path, subject: str) -> None:
    """Some characters fail only when the mail is encoded. A whole mail is built at the start, for each language."""
    (tmp_path / "de.json").write_text(json.dumps({"subject": subject}))

    (problem,) = problems(PRODUCTION | {"SIGNIN_MAIL__TEMPLATES": str(tmp_path)})

    assert problem.startswith("SIGNIN_MAIL__TEMPLATES cannot be used. de.json")


def test_a_layout_that_cannot_be_used_is_a_wrong_setting(tmp_path: Path) -> None:
    """Whatever the operator's code raises is said in a sentence, in every environment."""
    (tmp_path / "mail.txt.j2").write_text("{{ code + 1 }}")

    for environ in (PRODUCTION, DEVELOPMENT):
        (problem,) = problems(environ | {"SIGNIN_MAIL__TEMPLATES": str(tmp_path)})
        assert problem.startswith("SIGNIN_MAIL__TEMPLATES cannot be used. ar.json or a layout: ")
        assert "TypeError" in problem


def test_plain_http_to_siteverify_is_warned_about_in_production() -> None:
    """Plain HTTP exposes the secret, but is allowed: it may lead to a proxy on the same host."""
    (warning,) = warnings(PRODUCTION | {"SIGNIN_TURNSTILE__URL": "http://proxy:8080/siteverify"})
    assert warning.startswith("SIGNIN_TURNSTILE__URL")


@given(digits=st.integers(1, 10), tries=st.integers(0, 1000))
def test_the_guess_probability_is_an_upper_bound(digits: int, tries: int) -> None:
    """The bound is never below the probability for independent tries; it grows with tries, shrinks with digits."""
    bound = guess_probability(digits=digits, tries_per_day=tries)
    with_independent_tries = 1 - (1 - 10**-digits) ** (tries * 365)

    assert with_independent_tries <= bound + 1e-12
    assert 0 <= bound <= 1
    assert guess_probability(digits=digits + 1, tries_per_day=tries) <= bound
    assert guess_probability(digits=digits, tries_per_day=tries + 1) >= bound


def test_the_guess_probability_of_the_defaults_is_just_allowed() -> None:
    """The defaults, 25 tries a day at 8 digits, give 9.1e-5 a year; 28 tries a day would be too many."""
    by_default = load_settings(PRODUCTION).guess_probability

    assert by_default == pytest.approx(9.125e-5)
    assert by_default <= MAX_GUESS_PROBABILITY < guess_probability(digits=8, tries_per_day=28)
