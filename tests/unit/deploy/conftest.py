"""What tests of alerts and dashboards share."""

import shutil

import pytest


@pytest.fixture(scope="session")
def promtool() -> str:
    """Give promtool, where Prometheus is installed."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip(
            "promtool is not installed (Debian and Ubuntu: apt-get install prometheus); the job monitoring of ci has it"
        )
    return found
