"""What is read from a workflow's history."""

import pytest
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure, TimeoutFailureInfo

from utils.temporal.histories import error_class

UNAVAILABLE = Failure(
    message="ada@example.com", application_failure_info=ApplicationFailureInfo(type="MailUnavailable")
)


@pytest.mark.parametrize(
    ("failure", "name"),
    [
        (UNAVAILABLE, "MailUnavailable"),
        (Failure(cause=UNAVAILABLE), "MailUnavailable"),
        (Failure(timeout_failure_info=TimeoutFailureInfo()), "TimeoutError"),
        (Failure(cause=Failure(timeout_failure_info=TimeoutFailureInfo())), "TimeoutError"),
        (Failure(application_failure_info=ApplicationFailureInfo(type="ada@example.com is away")), "Error"),
        (Failure(message="ada@example.com"), "Error"),
    ],
)
def test_an_error_is_shown_by_its_class(failure: Failure, name: str) -> None:
    """The text of an error, which may hold an address, is never shown."""
    assert error_class(failure) == name
