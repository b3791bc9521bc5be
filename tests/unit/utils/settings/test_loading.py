"""Which values of settings are accepted and which are refused."""

from pathlib import Path

import pytest

from tests.fakes.authority import Authority
from tests.fakes.environments import DEVELOPMENT, KEY, OTHER_KEY, PRODUCTION, problems
from utils.settings.environment import variables
from utils.settings.loading import Settings, load_settings


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


def test_only_limits_problems_and_warnings_to_one_section() -> None:
    """A command that needs nothing but Kafka is not refused because the mail server is missing."""
    assert load_settings({}, only="SIGNIN_KAFKA__").kafka.group_id == "signin-worker"
    assert len(problems({"SIGNIN_KAFKA__RESULTS_TOPIC": "a b"}, only="SIGNIN_KAFKA__")) == 1

    found: list[str] = []
    load_settings(DEVELOPMENT | {"SIGNIN_KAFKA__TOPIC": "x"}, found.append, only="SIGNIN_KAFKA__")

    assert len(found) == 1


def test_readable_files_and_ip_addresses_are_accepted(tmp_path: Path) -> None:
    """A file of authorities, and IP addresses of both versions, are accepted."""
    cafile = str(Authority(tmp_path).cafile)
    environ = {"SIGNIN_SMTP__CAFILE": cafile, "SIGNIN_DNS__NAMESERVERS": "192.0.2.1,2001:db8::1"}
    settings = load_settings(PRODUCTION | environ)
    assert settings.smtp.cafile == cafile
    assert settings.dns.nameservers == ("192.0.2.1", "2001:db8::1")


@pytest.mark.parametrize("content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_file_of_authorities_without_a_certificate_is_refused(tmp_path: Path, content: str) -> None:
    """No mail could be sent with it: it is said before the start, also by ``check``."""
    file = tmp_path / "authorities.pem"
    file.write_text(content)

    for environ in (PRODUCTION, DEVELOPMENT):
        (problem,) = problems(environ | {"SIGNIN_SMTP__CAFILE": str(file)})
        assert problem.startswith("SIGNIN_SMTP__CAFILE is not valid: names a file without a certificate (PEM)")


@pytest.mark.parametrize("name", ["SMTP__CAFILE", "KAFKA__SSL_CAFILE", "KAFKA__SSL_CERTFILE", "KAFKA__SSL_KEYFILE"])
def test_a_folder_is_no_file(tmp_path: Path, name: str) -> None:
    """A folder can be read, too, but holds no certificate: a mounted Secret is easily named instead of its file."""
    (problem, *_) = problems(PRODUCTION | {f"SIGNIN_{name}": str(tmp_path)})
    assert problem.startswith(f"SIGNIN_{name} is not valid: names a file that cannot be read")


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
