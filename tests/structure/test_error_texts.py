"""Foreign errors are translated in one place."""

import pytest

from consumers.gateway.error_table import (
    BUSY_WORKFLOW_TEXT,
    MESSAGE_SIZE_TEXT,
    SEARCH_ATTRIBUTE_TEXT,
    SIGNAL_LIMIT_TEXT,
)
from deploy.local.places import PROJECT
from tests.structure.sources import product


@pytest.mark.parametrize(
    "text",
    [
        SIGNAL_LIMIT_TEXT,
        MESSAGE_SIZE_TEXT,
        SEARCH_ATTRIBUTE_TEXT,
        BUSY_WORKFLOW_TEXT,
        "temporalio.api.errordetails",
    ],
)
def test_only_the_table_looks_at_texts_and_details(text: str) -> None:
    """No other product module names a text of Temporal's server, or a detail of its errors."""
    places = [path.relative_to(PROJECT).as_posix() for path in product() if text in path.read_text().lower()]
    assert places == ["consumers/gateway/error_table.py"]
