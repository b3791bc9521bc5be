"""Fixtures for tests of the rules."""

import pytest

from tests.fakes.mailbox_world import MailboxWorld


@pytest.fixture
def world() -> MailboxWorld:
    """Give an empty mailbox under the default policy."""
    return MailboxWorld()
