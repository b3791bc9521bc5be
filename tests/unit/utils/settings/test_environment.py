"""How environment variables are read: secrets in files, misspelt and empty variables."""

from pathlib import Path

import pytest

from tests.fakes.environments import PRODUCTION, problems, warnings
from utils.settings.environment import variables
from utils.settings.loading import load_settings
from utils.settings.model import Settings


def test_a_secret_can_be_read_from_a_file(tmp_path: Path) -> None:
    """A variable with ``_FILE`` appended names a file. The secret is its text without surrounding blanks."""
    file = tmp_path / "password"
    file.write_text("hush\n")

    settings = load_settings(PRODUCTION | {"SIGNIN_SMTP__USERNAME": "u", "SIGNIN_SMTP__PASSWORD_FILE": str(file)})

    assert settings.smtp.password is not None
    assert settings.smtp.password.get_secret_value() == "hush"


def test_the_codec_servers_token_can_be_read_from_a_file(tmp_path: Path) -> None:
    """An optional secret with a rule of its own is one, too."""
    file = tmp_path / "token"
    file.write_text("t" * 32)

    settings = load_settings(PRODUCTION | {"SIGNIN_CODEC_SERVER__TOKEN_FILE": str(file)})

    assert settings.codec_server.token is not None
    assert settings.codec_server.token.get_secret_value() == "t" * 32


def test_every_secret_is_known_as_one() -> None:
    """However its type is written: only then it may be a file, and the chart refuses it among plain settings."""
    hidden = {variable.name for variable in variables(Settings) if "Secret" in repr(variable.field.annotation)}
    assert {variable.name for variable in variables(Settings) if variable.secret} >= hidden


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
