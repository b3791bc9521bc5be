"""What a story says of an error."""

import pytest
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure, TimeoutFailureInfo

from utils.temporal.trace import _class_of

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
def test_an_error_is_told_by_its_class(failure: Failure, name: str) -> None:
    """Never by its text."""
    assert _class_of(failure) == name
