"""Fixtures for tests of alerts and dashboards."""

import shutil

import pytest


@pytest.fixture(scope="session")
def promtool() -> str:
    """Return the path of promtool, if Prometheus is installed."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip(
            "promtool is not installed (Debian and Ubuntu: apt-get install prometheus); the CI job monitoring has it"
        )
    return found
