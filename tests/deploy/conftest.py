"""Fixtures for tests of the chart."""

from pathlib import Path

import pytest

from deploy.local.helm import helm_program
from deploy.local.places import StackError
from tests.deploy.chart import Chart


@pytest.fixture(scope="session")
def helm() -> Path:
    """Return the real Helm, fetched if necessary."""
    try:
        return helm_program()
    except StackError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def chart(helm: Path) -> Chart:
    """Return the chart; whatever has been rendered once is kept."""
    return Chart(helm)
