"""What settings are read, refused and warned of."""

import base64
from pathlib import Path

import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import Message
from schemas.policy import LimitPolicy, OtpPolicy, Policy
from utils.settings.environment import variable_name, variables
from utils.settings.guesses import MOST_LIKELY_GUESS, guess_probability
from utils.settings.loading import Settings, SettingsError, load_settings

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(32)).decode()
PRODUCTION = {
    "SIGNIN_SMTP__HOST": "mail.example.com",
    "SIGNIN_SMTP__SENDER": "Sign-in <no-reply@example.com>",
    "SIGNIN_TURNSTILE__SECRET": "0x4AAA-real",
    "SIGNIN_TURNSTILE__HOSTNAMES": "www.example.com, shop.example.com",
    "SIGNIN_KEYS__ACCOUNT": KEY,
    "SIGNIN_KEYS__CODE": f"c2:{KEY},c1:{OTHER_KEY}",
    "SIGNIN_KEYS__PAYLOAD": f"p1:{KEY}",
}
DEVELOPMENT = {"SIGNIN_ENVIRONMENT": "development"}


def problems(environ: dict[str, str], only: str = "SIGNIN_") -> list[str]:
    """Return what is wrong with the settings."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, only=only)
    return caught.value.problems


def warnings(environ: dict[str, str]) -> list[str]:
    """Return what is odd about the settings."""
    said: list[str] = []
    load_settings(environ, said.append)
    return said


def test_complete_production_settings_are_taken_without_a_word() -> None:
    """A complete set gives values and no warning."""
    said: list[str] = []
    settings = load_settings(PRODUCTION, said.append)
    assert said == []
    assert settings.smtp.message_id_domain == "example.com"
    assert settings.turnstile.hostnames == ("www.example.com", "shop.example.com")
    assert list(settings.keys.code.get_secret_value()) == ["c2", "c1"]
    assert settings.keys.account.get_secret_value() == bytes(range(32))


def test_defaults_are_those_of_the_contract() -> None:
    """The numbers of the contract's table, in the settings and in the policy."""
    settings = load_settings(PRODUCTION)
    assert (settings.max_event_age_s, settings.replay_horizon_s) == (300, 86_400)
    assert settings.kafka.bootstrap_servers == ("localhost:9092",)
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8080)
    assert settings.dead_letters.breaker_per_minute == 10_000
    assert settings.policy() == Policy()


def test_policy_carries_what_is_set() -> None:
    """Every number of the environment reaches the workflows' policy."""
    settings = load_settings(
        PRODUCTION
        | {
            "SIGNIN_OTP__LIFETIME_S": "60",
            "SIGNIN_LIMITS__SENDS_PER_DAY": "7",
            "SIGNIN_TIMES__MAIL_ATTEMPT_S": "2.5",
            "SIGNIN_MAX_EVENT_AGE_S": "100",
            "SIGNIN_TEMPORAL__TASK_QUEUE": "other",
        }
    )
    policy = settings.policy()

    assert (policy.otp.lifetime_s, policy.limits.sends_per_day) == (60, 7)
    assert (policy.times.mail_attempt_s, policy.times.max_event_age_s) == (2.5, 100)
    assert policy.mail_task_queue == "other-mail"


def test_everything_missing_in_production_is_told_at_once() -> None:
    """An empty environment is answered with each variable that is needed and how to get it."""
    told = problems({})

    assert [sentence.split()[0] for sentence in told] == [
        "SIGNIN_SMTP__HOST",
        "SIGNIN_SMTP__SENDER",
        "SIGNIN_TURNSTILE__SECRET",
        "SIGNIN_KEYS__ACCOUNT",
        "SIGNIN_KEYS__CODE",
        "SIGNIN_KEYS__PAYLOAD",
        "SIGNIN_TURNSTILE__HOSTNAMES",
    ]
    assert "openssl rand -base64 32" in told[3]


def test_development_needs_nothing_and_is_warned() -> None:
    """Development runs with nothing set; each stand-in is named."""
    assert len(warnings(DEVELOPMENT)) == 7
    settings = load_settings(DEVELOPMENT)
    assert len(settings.keys.account.get_secret_value()) == 32
    assert settings.keys.code.get_secret_value() != load_settings(DEVELOPMENT).keys.code.get_secret_value()


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("SIGNIN_SMTP__SECURITY", "none", "in clear"),
        ("SIGNIN_TURNSTILE__SECRET", "1x0000000000000000000000000000000AA", "test secret"),
        ("SIGNIN_TURNSTILE__HOSTNAMES", " , ", "no entry"),
        ("SIGNIN_OTP__DIGITS", "7", "9.1e-04"),
        ("SIGNIN_TIMES__LINGER_S", "3600", "budgets"),
    ],
)
def test_production_refuses_what_development_is_warned_of(variable: str, value: str, part: str) -> None:
    """Each unsafe setting ends production and is only a warning in development."""
    (problem,) = problems(PRODUCTION | {variable: value})
    assert problem.startswith(variable)
    assert part in problem
    assert problem in warnings(PRODUCTION | DEVELOPMENT | {variable: value})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SIGNIN_ENVIRONMENT", "staging-4711"),
        ("SIGNIN_SMTP__PORT", "port-4711"),
        ("SIGNIN_SMTP__SENDER", "nobody4711"),
        ("SIGNIN_TURNSTILE__URL", "ftp://4711"),
        ("SIGNIN_KEYS__ACCOUNT", "4711"),
        ("SIGNIN_KEYS__ACCOUNT", "not base64 4711!"),
        ("SIGNIN_KEYS__CODE", "4711"),
        ("SIGNIN_KEYS__CODE", "a:4711"),
        ("SIGNIN_KEYS__PAYLOAD", f"a:{KEY},a:{OTHER_KEY}"),
        ("SIGNIN_OTP__DIGITS", "4711"),
        ("SIGNIN_LIMITS__MAILS_PER_SECOND", "4711x"),
        ("SIGNIN_KAFKA__BOOTSTRAP_SERVERS", ","),
        ("SIGNIN_KAFKA__BOOTSTRAP_SERVERS", "a:9092,b:4711x"),
        ("SIGNIN_KAFKA__BOOTSTRAP_SERVERS", "a:74711"),
        ("SIGNIN_KAFKA__BOOTSTRAP_SERVERS", "a:90:4711"),
        ("SIGNIN_KAFKA__BOOTSTRAP_SERVERS", "kafka://4711:9092"),
        ("SIGNIN_LIMITS__MAILS_PER_SECOND", "inf"),
        ("SIGNIN_KAFKA__RESULTS_TOPIC", "4711 4711"),
        ("SIGNIN_LOG__FORMAT", "4711"),
        ("SIGNIN_DNS__NAMESERVERS", "192.0.2.1,4711x"),
        ("SIGNIN_SMTP__CAFILE", "/nowhere/4711"),
    ],
)
def test_invalid_value_is_named_once_and_never_shown(variable: str, value: str) -> None:
    """One sentence names the variable, and the value, maybe a secret, stands nowhere."""
    (problem,) = problems(PRODUCTION | {variable: value})
    assert problem.startswith(f"{variable} ")
    assert problem.endswith(".")
    assert "4711" not in problem
    assert KEY not in problem


@pytest.mark.parametrize("servers", ["kafka", "kafka:9092", "192.0.2.1:9092, [2001:db8::1]:9093", "k-1.example.com:1"])
def test_brokers_have_a_host_and_maybe_a_port(servers: str) -> None:
    """What the client can use is taken, and blanks after a comma are not part of a name."""
    brokers = load_settings(PRODUCTION | {"SIGNIN_KAFKA__BOOTSTRAP_SERVERS": servers}).kafka.bootstrap_servers
    assert ",".join(brokers) == servers.replace(" ", "")


@pytest.mark.parametrize(("section", "model"), [("otp", OtpPolicy), ("limits", LimitPolicy)])
def test_what_the_policy_refuses_the_settings_refuse(section: str, model: type[Message]) -> None:
    """A number that is too small is a sentence at the start, not a bug once the policy is built."""
    for name, field in model.model_fields.items():
        (rule,) = (rule for rule in field.metadata if isinstance(rule, Ge))
        assert isinstance(rule.ge, int)
        variable = variable_name(section, name)
        (problem,) = problems(PRODUCTION | {variable: str(rule.ge - 1)})
        assert problem.startswith(f"{variable} is not valid")


def test_invalid_and_missing_are_told_together() -> None:
    """An invalid value does not hide what is missing."""
    told = problems(
        {name: value for name, value in PRODUCTION.items() if "HOST" not in name} | {"SIGNIN_HTTP__PORT": "x"}
    )
    assert [sentence.split()[0] for sentence in told] == [
        "SIGNIN_HTTP__PORT",
        "SIGNIN_SMTP__HOST",
        "SIGNIN_TURNSTILE__HOSTNAMES",
    ]


@pytest.mark.parametrize(
    ("more", "first_words"),
    [
        (
            {"SIGNIN_KAFKA__SECURITY_PROTOCOL": "sasl_ssl", "SIGNIN_KAFKA__SASL_USERNAME": "u"},
            "SIGNIN_KAFKA__SASL_PASSWORD",
        ),
        ({"SIGNIN_SMTP__USERNAME": "u"}, "SIGNIN_SMTP__USERNAME and SIGNIN_SMTP__PASSWORD"),
        ({"SIGNIN_REPLAY_HORIZON_S": "599"}, "SIGNIN_REPLAY_HORIZON_S is too short"),
        ({"SIGNIN_KAFKA__SUBMITTED_TOPIC": "signin.requested"}, "SIGNIN_KAFKA__REQUESTED_TOPIC"),
        ({"SIGNIN_KAFKA__RESULTS_TOPIC": "otp.submitted"}, "SIGNIN_KAFKA__REQUESTED_TOPIC"),
        ({"SIGNIN_KAFKA__RESULTS_TOPIC": "signin.requested.dlt"}, "SIGNIN_KAFKA__REQUESTED_TOPIC"),
        ({"SIGNIN_KAFKA__REQUESTED_TOPIC": "otp.submitted.dlt"}, "SIGNIN_KAFKA__REQUESTED_TOPIC"),
    ],
)
def test_contradictions_are_refused_everywhere(more: dict[str, str], first_words: str) -> None:
    """What cannot work is refused in development too."""
    for environ in (PRODUCTION | more, PRODUCTION | DEVELOPMENT | more):
        (problem,) = problems(environ)
        assert problem.startswith(first_words)


def test_only_the_named_section_is_asked_for() -> None:
    """A command that needs Kafka alone is not refused for a mail server that is missing."""
    assert load_settings({}, only="SIGNIN_KAFKA__").kafka.group_id == "signin-worker"
    assert len(problems({"SIGNIN_KAFKA__RESULTS_TOPIC": "a b"}, only="SIGNIN_KAFKA__")) == 1
    said: list[str] = []
    load_settings(DEVELOPMENT | {"SIGNIN_KAFKA__TOPIC": "x"}, said.append, only="SIGNIN_KAFKA__")
    assert len(said) == 1


def test_plain_http_to_siteverify_is_warned_of_in_production() -> None:
    """The secret would travel in clear; a proxy on the same host may be fine, so it is allowed."""
    (warning,) = warnings(PRODUCTION | {"SIGNIN_TURNSTILE__URL": "http://proxy:8080/siteverify"})
    assert warning.startswith("SIGNIN_TURNSTILE__URL")


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    """``_FILE`` names a file whose text, without blanks around it, is the secret."""
    file = tmp_path / "password"
    file.write_text("hush\n")
    settings = load_settings(PRODUCTION | {"SIGNIN_SMTP__USERNAME": "u", "SIGNIN_SMTP__PASSWORD_FILE": str(file)})
    assert settings.smtp.password is not None
    assert settings.smtp.password.get_secret_value() == "hush"


@pytest.mark.parametrize(
    ("content", "part"), [(None, "cannot be read"), (b"\xff\xfe", "cannot be read"), (b" \n", "empty")]
)
def test_a_secret_file_that_is_no_good_is_a_problem(tmp_path: Path, content: bytes | None, part: str) -> None:
    """A file that is missing, not text or empty is told, once, and its path is not."""
    file = tmp_path / "key4711"
    if content is not None:
        file.write_bytes(content)

    without = {name: value for name, value in PRODUCTION.items() if name != "SIGNIN_KEYS__CODE"}
    (problem,) = problems(without | {"SIGNIN_KEYS__CODE_FILE": str(file)})

    assert problem.startswith("SIGNIN_KEYS__CODE_FILE")
    assert part in problem
    assert "4711" not in problem


def test_a_secret_given_twice_is_a_problem(tmp_path: Path) -> None:
    """Nobody should have to guess which of the two counts."""
    (problem,) = problems(PRODUCTION | {"SIGNIN_KEYS__ACCOUNT_FILE": str(tmp_path)})
    assert "both set" in problem


def test_unknown_variables_are_warned_of_with_a_suggestion() -> None:
    """A typing error in a name is told, and what Kubernetes injects is not."""
    environ = PRODUCTION | {"SIGNIN_OTP__DIGIT": "9", "SIGNIN_ZZZ": "1", "SIGNIN_WORKER_SERVICE_HOST": "10.0.0.1"}
    assert warnings(environ) == [
        "SIGNIN_OTP__DIGIT is not a setting and has no effect: did you mean SIGNIN_OTP__DIGITS?",
        "SIGNIN_ZZZ is not a setting and has no effect.",
    ]


def test_empty_variables_count_as_unset() -> None:
    """``X=`` in an environment file means the default."""
    assert load_settings(PRODUCTION | {"SIGNIN_OTP__DIGITS": " "}).otp.digits == 8


def test_files_and_addresses_that_are_good_are_taken() -> None:
    """A file that can be read, IP addresses of both kinds."""
    environ = {"SIGNIN_SMTP__CAFILE": __file__, "SIGNIN_DNS__NAMESERVERS": "192.0.2.1,2001:db8::1"}
    settings = load_settings(PRODUCTION | environ)
    assert settings.smtp.cafile == __file__
    assert settings.dns.nameservers == ("192.0.2.1", "2001:db8::1")


def test_no_secret_is_shown_by_the_settings() -> None:
    """Neither ``str`` nor ``repr`` hold a secret."""
    shown = repr(load_settings(PRODUCTION)) + str(load_settings(PRODUCTION))
    assert "0x4AAA" not in shown
    assert KEY not in shown
    assert str(bytes(range(32))) not in shown


def test_every_variable_is_described() -> None:
    """``check --help`` has a text for each."""
    assert all(variable.field.description for variable in variables(Settings))
    assert {"SIGNIN_KEYS__CODE", "SIGNIN_SMTP__PASSWORD"} <= {each.name for each in variables(Settings) if each.secret}


@given(digits=st.integers(1, 10), tries=st.integers(0, 1000))
def test_guess_probability_is_an_upper_bound(digits: int, tries: int) -> None:
    """It is never below the chance of independent tries, never above 1, and more digits make it smaller."""
    bound = guess_probability(digits=digits, tries_per_day=tries)
    assert 1 - (1 - 10**-digits) ** (tries * 365) <= bound + 1e-12
    assert 0 <= bound <= 1
    assert guess_probability(digits=digits + 1, tries_per_day=tries) <= bound
    assert guess_probability(digits=digits, tries_per_day=tries + 1) >= bound


def test_guess_probability_of_the_defaults() -> None:
    """25 tries a day at 8 digits: 9.1e-5 a year, just within the limit."""
    assert guess_probability(digits=8, tries_per_day=25) == pytest.approx(9.125e-5)
    assert (
        guess_probability(digits=8, tries_per_day=25)
        <= MOST_LIKELY_GUESS
        < guess_probability(digits=8, tries_per_day=28)
    )
