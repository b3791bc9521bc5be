"""How commands end when something is wrong: with an exit code and a sentence that says what to do."""

from collections.abc import Callable

import pytest
import typer
from temporalio.service import RPCError, RPCStatusCode

from activities.errors import TemporalUnavailable
from tests.fakes.rpc_errors import rpc_error
from utils.cli.terminal import run_command

Run = Callable[..., tuple[int, str, str]]
SIGNIN_ID = "rJ3hQ0m1TzC9vWcK8uYbXw"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--role", "boss"],
        ["request"],
        ["request", "ada@example.com", "--attempt", "many"],
        ["request", "ada@example.com", "--attempt", "21"],
        ["request", "ada@example.com", "--signin-id", "short"],
        ["submit", SIGNIN_ID, "ada@example.com", "1" * 65],
        ["submit", SIGNIN_ID, "ada@example.com", "12345678", "--submission-id", "short"],
        ["dlt", "list", "--topic", "signin.results"],
        ["dlt", "show", "signin.results/0/0"],
    ],
)
@pytest.mark.usefixtures("environ")
def test_usage_errors_end_with_64(run: Run, arguments: list[str]) -> None:
    """Wrong arguments are refused before anything connects. Codes are not repeated."""
    code, output, errors = run(*arguments)
    assert (code, output) == (64, "")
    assert errors
    assert "12345678" not in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["request", "a@b.example"],
        ["submit", SIGNIN_ID, "a@b.example", "1"],
        ["dlt", "list"],
        ["dlt", "replay"],
        ["schemas"],
    ],
)
@pytest.mark.usefixtures("environ")
def test_wrong_settings_end_with_78(run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """Each problem is a sentence on stderr."""
    monkeypatch.setenv("SIGNIN_KAFKA__RESULTS_TOPIC", "not a topic")
    code, output, errors = run(*arguments)
    assert (code, output) == (78, "")
    assert errors.startswith("SIGNIN_KAFKA__RESULTS_TOPIC is not valid")


@pytest.mark.parametrize(
    "arguments",
    [
        ["topics", "create"],
        ["request", "a@b.example"],
        ["submit", SIGNIN_ID, "a@b.example", "12345678"],
        ["dlt", "list"],
        ["dlt", "show", "otp.submitted.dlt/0/0"],
        ["dlt", "replay"],
        ["dlt", "replay", "--dry-run", "--json"],
    ],
)
@pytest.mark.usefixtures("production")
def test_commands_for_kafka_end_with_69_while_it_is_away(run: Run, arguments: list[str]) -> None:
    """They say that Kafka is unavailable, and ask for no settings but Kafka's."""
    code, output, errors = run(*arguments)
    assert (code, output) == (69, "")
    assert "Kafka is unavailable" in errors


@pytest.mark.parametrize("arguments", [["limits", "show", "a@b.example"], ["limits", "clear", "a@b.example"]])
@pytest.mark.usefixtures("production")
def test_commands_for_temporal_end_with_69_while_it_is_away(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """They say that Temporal does not answer, and ask for no settings but the keys."""
    monkeypatch.setenv("SIGNIN_KAFKA__RESULTS_TOPIC", "not a topic")
    code, output, errors = run(*arguments)
    assert (code, output) == (69, "")
    assert errors.startswith("No usable answer from Temporal or its workers (no connection)")


def test_a_command_says_which_status_temporal_answered_with(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the server's answer, only that: its text may quote an address."""

    async def throttled() -> None:
        try:
            raise rpc_error(RPCStatusCode.RESOURCE_EXHAUSTED, "too many calls for a@b.example")
        except RPCError:
            raise TemporalUnavailable from None

    with pytest.raises(typer.Exit, match="69"):
        run_command(throttled())
    errors = capsys.readouterr().err

    assert "workers (RESOURCE_EXHAUSTED)" in errors
    assert "a@b.example" not in errors


@pytest.mark.usefixtures("production")
def test_resume_ends_with_69_without_an_instance(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """``dlt resume`` needs only the address of an instance: 69 if nothing answers there, 78 if it is wrong."""
    code, output, errors = run("dlt", "resume")

    assert (code, output) == (69, "")
    assert errors.startswith("nobody answers at 127.0.0.1:")
    assert "SIGNIN_HTTP__HOST" in errors

    monkeypatch.setenv("SIGNIN_HTTP__PORT", "http")

    assert run("dlt", "resume")[0] == 78


@pytest.mark.parametrize("signin_id", ["-" + SIGNIN_ID[1:], "--" + SIGNIN_ID[2:], "-" * 22])
@pytest.mark.usefixtures("environ")
def test_an_id_that_begins_with_a_hyphen_is_not_an_option(run: Run, signin_id: str) -> None:
    """One in 64 base64url ids does. The command gets as far as Kafka, which is away here."""
    code, _, errors = run("submit", signin_id, "ada@example.com", "-1234 5678")
    assert (code, "Kafka is unavailable" in errors) == (69, True)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SIGNIN_CODEC_SERVER__TOKEN", None, "SIGNIN_CODEC_SERVER__TOKEN is missing: draw 32 characters"),
        ("SIGNIN_CODEC_SERVER__TOKEN", "short", "must be at least 32 characters"),
        ("SIGNIN_CODEC_SERVER__ORIGINS", "*", "entry 1 must look like https://"),
        ("SIGNIN_CODEC_SERVER__ORIGINS", "https://a.example,https://b.example/x", "entry 2 must look like https://"),
        ("SIGNIN_KEYS__PAYLOAD", None, "SIGNIN_KEYS__PAYLOAD is missing"),
    ],
)
@pytest.mark.usefixtures("production")
def test_the_codec_server_ends_with_78_without_its_settings(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, words: str
) -> None:
    """It shows addresses, so it does not start without a token, or for any web page. No token is repeated."""
    monkeypatch.setenv("SIGNIN_CODEC_SERVER__TOKEN", "t" * 32)
    monkeypatch.delenv(variable, raising=False)
    if value is not None:
        monkeypatch.setenv(variable, value)

    code, output, errors = run("codec-server")

    assert (code, output) == (78, "")
    assert words in errors
    assert "short" not in errors
