"""Environments that the settings are read from."""

import base64

import pytest

from utils.settings.loading import SettingsError, load_settings

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
