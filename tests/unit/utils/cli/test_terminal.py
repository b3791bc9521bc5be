"""How a command fails, and the help on settings."""

import os

import pytest
import typer

from utils.cli.terminal import run_command, settings_table
from utils.smtp.mail_templates import TemplatesError


def test_a_layout_that_breaks_while_the_worker_waits_ends_it_with_78(capsys: pytest.CaptureFixture[str]) -> None:
    """The mailer is built only when Temporal answers, which may be long after the settings were read."""

    async def build_mailer() -> None:
        raise TemplatesError("mail.txt.j2: not UTF-8. Correct it.")

    with pytest.raises(typer.Exit) as ended:
        run_command(build_mailer())

    assert ended.value.exit_code == os.EX_CONFIG
    assert capsys.readouterr().err == "SIGNIN_MAIL__TEMPLATES cannot be used. mail.txt.j2: not UTF-8. Correct it.\n"


def test_the_settings_table_has_defaults_and_files() -> None:
    """Each variable has its text, its default and its file. A secret's default is never shown."""
    table = dict(settings_table())

    assert table["SIGNIN_OTP__DIGITS"] == "Digits in a code (6 to 10). Default: 8."
    assert table["SIGNIN_KAFKA__BOOTSTRAP_SERVERS"].endswith("Default: localhost:9092.")
    assert table["SIGNIN_SMTP__PASSWORD"].endswith("Or SIGNIN_SMTP__PASSWORD_FILE.")
    assert "Default" not in table["SIGNIN_TURNSTILE__SECRET"]
