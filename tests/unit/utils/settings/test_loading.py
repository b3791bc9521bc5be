"""Which settings are accepted, refused, or warned about."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.settings.environment import variables
from utils.settings.guesses import MAX_GUESS_PROBABILITY, guess_probability
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
    """Return the problems for which the settings are refused."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, only=only)
    return caught.value.problems


def warnings(environ: dict[str, str]) -> list[str]:
    """Return the warnings about settings that are accepted."""
    found: list[str] = []
    load_settings(environ, found.append)
    return found


def test_complete_production_settings_are_accepted_without_a_warning() -> None:
    """A complete set of production settings is parsed and causes no warning."""
    found: list[str] = []
    settings = load_settings(PRODUCTION, found.append)

    assert found == []
    assert settings.smtp.message_id_domain == "example.com"
    assert settings.turnstile.hostnames == ("www.example.com", "shop.example.com")
    assert list(settings.keys.code.get_secret_value()) == ["c2", "c1"]
    assert settings.keys.account.get_secret_value() == bytes(range(32))


def test_defaults_are_those_of_the_contract() -> None:
    """The defaults are the numbers in the contract's table."""
    settings = load_settings(PRODUCTION)
    otp = settings.otp
    limits = settings.limits

    assert (otp.digits, otp.lifetime_s, otp.max_attempts) == (8, 300, 5)
    assert (limits.send_cooldown_s, limits.sends_per_hour, limits.sends_per_day) == (60, 5, 20)
    assert (limits.failures_per_hour, limits.failures_per_day, limits.failures_in_a_row) == (10, 20, 100)
    assert (limits.trusted_failures_per_day, limits.mails_per_second) == (5, None)
    assert (settings.max_event_age_s, settings.replay_horizon_s) == (300, 86_400)
    assert settings.kafka.bootstrap_servers == ("localhost:9092",)
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8080)
    assert settings.dead_letters.breaker_per_minute == 10_000


def test_the_policy_carries_the_settings() -> None:
    """Numbers from the environment reach the policy of the workflows."""
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
def test_an_invalid_value_is_reported_once_and_never_shown(variable: str, value: str) -> None:
    """One sentence names the variable. It never contains the value, which may be a secret."""
    (problem,) = problems(PRODUCTION | {variable: value})

    assert problem.startswith(f"{variable} ")
    assert problem.endswith(".")
    assert "4711" not in problem
    assert KEY not in problem


@pytest.mark.parametrize("servers", ["kafka", "kafka:9092", "192.0.2.1:9092, [2001:db8::1]:9093", "k-1.example.com:1"])
def test_a_broker_is_a_host_with_an_optional_port(servers: str) -> None:
    """Host names and addresses, with or without a port, are accepted; blanks after a comma are dropped."""
    brokers = load_settings(PRODUCTION | {"SIGNIN_KAFKA__BOOTSTRAP_SERVERS": servers}).kafka.bootstrap_servers
    assert ",".join(brokers) == servers.replace(" ", "")


def test_invalid_and_missing_settings_are_reported_together() -> None:
    """An invalid value does not hide a missing one."""
    without_hosts = {name: value for name, value in PRODUCTION.items() if "HOST" not in name}
    found = problems(without_hosts | {"SIGNIN_HTTP__PORT": "x"})

    assert [problem.split()[0] for problem in found] == [
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
def test_contradictory_settings_are_refused_in_every_environment(more: dict[str, str], first_words: str) -> None:
    """Settings that cannot work together are refused in development too."""
    for environ in (PRODUCTION | more, PRODUCTION | DEVELOPMENT | more):
        (problem,) = problems(environ)
        assert problem.startswith(first_words)


def test_only_limits_problems_and_warnings_to_one_section() -> None:
    """A command that needs nothing but Kafka is not refused because the mail server is missing."""
    assert load_settings({}, only="SIGNIN_KAFKA__").kafka.group_id == "signin-worker"
    assert len(problems({"SIGNIN_KAFKA__RESULTS_TOPIC": "a b"}, only="SIGNIN_KAFKA__")) == 1

    found: list[str] = []
    load_settings(DEVELOPMENT | {"SIGNIN_KAFKA__TOPIC": "x"}, found.append, only="SIGNIN_KAFKA__")

    assert len(found) == 1


def test_plain_http_to_siteverify_is_warned_about_in_production() -> None:
    """Plain HTTP exposes the secret, but is allowed: it may lead to a proxy on the same host."""
    (warning,) = warnings(PRODUCTION | {"SIGNIN_TURNSTILE__URL": "http://proxy:8080/siteverify"})
    assert warning.startswith("SIGNIN_TURNSTILE__URL")


def test_a_secret_can_be_read_from_a_file(tmp_path: Path) -> None:
    """A variable with ``_FILE`` appended names a file. The secret is its text without surrounding blanks."""
    file = tmp_path / "password"
    file.write_text("hush\n")

    settings = load_settings(PRODUCTION | {"SIGNIN_SMTP__USERNAME": "u", "SIGNIN_SMTP__PASSWORD_FILE": str(file)})

    assert settings.smtp.password is not None
    assert settings.smtp.password.get_secret_value() == "hush"


@pytest.mark.parametrize(
    ("content", "part"), [(None, "cannot be read"), (b"\xff\xfe", "cannot be read"), (b" \n", "empty")]
)
def test_an_unusable_secret_file_is_a_problem(tmp_path: Path, content: bytes | None, part: str) -> None:
    """A file that is missing, empty or not text is reported once, without its path."""
    file = tmp_path / "key4711"
    if content is not None:
        file.write_bytes(content)

    without = {name: value for name, value in PRODUCTION.items() if name != "SIGNIN_KEYS__CODE"}
    (problem,) = problems(without | {"SIGNIN_KEYS__CODE_FILE": str(file)})

    assert problem.startswith("SIGNIN_KEYS__CODE_FILE")
    assert part in problem
    assert "4711" not in problem


def test_a_secret_that_is_given_twice_is_a_problem(tmp_path: Path) -> None:
    """A secret cannot be given as a value and as a file at once."""
    (problem,) = problems(PRODUCTION | {"SIGNIN_KEYS__ACCOUNT_FILE": str(tmp_path)})
    assert "both set" in problem


def test_an_unknown_variable_causes_a_warning_with_a_suggestion() -> None:
    """Misspelt variables cause a warning; those that Kubernetes injects do not."""
    environ = PRODUCTION | {"SIGNIN_OTP__DIGIT": "9", "SIGNIN_ZZZ": "1", "SIGNIN_WORKER_SERVICE_HOST": "10.0.0.1"}

    assert warnings(environ) == [
        "SIGNIN_OTP__DIGIT is not a setting and has no effect: did you mean SIGNIN_OTP__DIGITS?",
        "SIGNIN_ZZZ is not a setting and has no effect.",
    ]


def test_empty_variables_count_as_unset() -> None:
    """A variable that is set to blanks leaves the default in place."""
    assert load_settings(PRODUCTION | {"SIGNIN_OTP__DIGITS": " "}).otp.digits == 8


def test_readable_files_and_ip_addresses_are_accepted() -> None:
    """A file that can be read, and IP addresses of both versions, are accepted."""
    environ = {"SIGNIN_SMTP__CAFILE": __file__, "SIGNIN_DNS__NAMESERVERS": "192.0.2.1,2001:db8::1"}
    settings = load_settings(PRODUCTION | environ)
    assert settings.smtp.cafile == __file__
    assert settings.dns.nameservers == ("192.0.2.1", "2001:db8::1")


def test_settings_show_no_secret() -> None:
    """Neither ``str`` nor ``repr`` of the settings contains a secret."""
    settings = load_settings(PRODUCTION)
    shown = repr(settings) + str(settings)

    assert "0x4AAA" not in shown
    assert KEY not in shown
    assert str(bytes(range(32))) not in shown


def test_every_variable_has_a_help_text() -> None:
    """``check --help`` describes every variable."""
    assert all(variable.field.description for variable in variables(Settings))


def test_keys_and_passwords_are_secret() -> None:
    """Keys and passwords can be read from files."""
    secret = {variable.name for variable in variables(Settings) if variable.secret}

    assert {"SIGNIN_KEYS__CODE", "SIGNIN_SMTP__PASSWORD"} <= secret


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
