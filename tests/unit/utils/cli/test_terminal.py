"""The help on settings."""

from utils.cli.terminal import settings_table


def test_the_settings_table_has_defaults_and_files() -> None:
    """Each variable has its text, its default and its file. A secret's default is never shown."""
    table = dict(settings_table())

    assert table["SIGNIN_OTP__DIGITS"] == "Digits in a code (6 to 10). Default: 8."
    assert table["SIGNIN_KAFKA__BOOTSTRAP_SERVERS"].endswith("Default: localhost:9092.")
    assert table["SIGNIN_SMTP__PASSWORD"].endswith("Or SIGNIN_SMTP__PASSWORD_FILE.")
    assert "Default" not in table["SIGNIN_TURNSTILE__SECRET"]
