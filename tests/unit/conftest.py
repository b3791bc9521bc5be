"""Fixtures for tests of the command line: an environment in which nothing answers, and a way to run commands."""

import base64
import logging
import os
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from typer.testing import CliRunner

from deploy.local.places import free_ports
from deploy.local.servers.backends import Kafka, Temporal
from signin_worker import command_line

_KEY: Final = base64.b64encode(bytes(32)).decode()


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set a development environment in which nothing answers, and none of the developer's own variables counts."""
    for name in list(os.environ):
        if name.startswith(("SIGNIN_", "TEMPORAL_")):
            monkeypatch.delenv(name)

    closed, http = free_ports(2)
    values = {
        "SIGNIN_ENVIRONMENT": "development",
        "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{closed}",
        "SIGNIN_SMTP__HOST": "127.0.0.1",
        "SIGNIN_SMTP__PORT": str(closed),
        "SIGNIN_TURNSTILE__URL": f"http://127.0.0.1:{closed}",
        "SIGNIN_DNS__NAMESERVERS": "127.0.0.1",
        "SIGNIN_DNS__PORT": str(closed),
        "SIGNIN_KEYS__ACCOUNT": _KEY,
        "SIGNIN_KEYS__CODE": f"c2:{_KEY},c1:{_KEY}",
        "SIGNIN_KEYS__PAYLOAD": f"p1:{_KEY}",
        "SIGNIN_HTTP__PORT": str(http),
        "SIGNIN_LOG__FORMAT": "json",
        "TEMPORAL_ADDRESS": f"127.0.0.1:{closed}",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    return values


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    """Set a production environment that lacks the mail server: commands that need none must run all the same."""
    monkeypatch.setenv("SIGNIN_ENVIRONMENT", "production")
    monkeypatch.delenv("SIGNIN_SMTP__HOST")


@pytest.fixture
def served(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], kafka: Kafka, temporal: Temporal
) -> dict[str, str]:
    """Return the environment with a real Kafka and a real Temporal."""
    real = {"SIGNIN_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "TEMPORAL_ADDRESS": temporal.address}
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    return environ | real


@pytest.fixture
def run() -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Give a function that runs a command and returns its exit code, output and errors. Restores the log."""
    root = logging.getLogger()
    handlers = root.handlers
    level = root.level

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(command_line(), arguments)
        return result.exit_code, result.stdout, result.stderr

    yield invoke
    root.handlers = handlers
    root.setLevel(level)
