"""How errors leave activities."""

import asyncio
import logging

import pytest
from temporalio.exceptions import ApplicationError

from activities import errors
from activities.reporting import context, failure, severity
from tests.fakes.activity_calls import ATTEMPT, WORKFLOW_ID, called

_CLASSES = [each for each in vars(errors).values() if isinstance(each, type)]
_ERRORS = [each for each in _CLASSES if issubclass(each, errors.SideEffectError)]


@pytest.mark.parametrize("error", _ERRORS, ids=lambda error: error.__name__)
def test_an_error_leaves_as_its_type_and_fixed_text(error: type[errors.SideEffectError]) -> None:
    """Only a ``Refused`` error is not retried."""
    raised = failure(error())

    assert (raised.message, raised.type, raised.details) == (error.text, error.__name__, ())
    assert raised.non_retryable is issubclass(error, errors.Refused)
    assert severity(error()) == logging.WARNING


@pytest.mark.parametrize("error", [ValueError("ada@x.test"), asyncio.TimeoutError(), ApplicationError("ada@x.test")])
def test_a_bug_leaves_without_its_text(error: Exception) -> None:
    """It is retried, since a release may fix it."""
    raised = failure(error)

    assert (raised.message, raised.type, raised.non_retryable) == ("an unexpected error", "UnexpectedError", False)
    assert severity(error) == logging.ERROR


def test_the_context_names_activity_try_and_workflow() -> None:
    """Without an error, it has nothing else but what the caller adds."""
    assert called("a").run(context, None) == {
        "activity": "a",
        "activity_attempt": ATTEMPT,
        "workflow_id": WORKFLOW_ID,
    }
    assert called().run(lambda: context(reason="r"))["reason"] == "r"


def test_the_context_names_the_causes_of_an_error() -> None:
    """An operator sees that a connection was refused, but not the exceptions' messages."""
    error = errors.MailUnavailable()
    error.__cause__ = OSError("ada@x.test")
    error.__cause__.__context__ = ConnectionRefusedError("ada@x.test")

    extra = called().run(context, error)
    assert extra["error"] == "MailUnavailable < OSError < ConnectionRefusedError"
    assert "raised_at" not in extra


def test_a_suppressed_cause_is_named_too() -> None:
    """Adapters raise ``from None`` to hide messages; class names are no secret."""
    try:
        try:
            raise OSError("ada@x.test")
        except OSError:
            raise errors.MailUnavailable from None
    except errors.MailUnavailable as error:
        assert called().run(context, error)["error"] == "MailUnavailable < OSError"


def test_a_long_chain_is_cut() -> None:
    """A chain that contains itself ends too."""
    error = ValueError()
    error.__context__ = TypeError()
    error.__context__.__context__ = error

    assert called().run(context, error)["error"] == "ValueError < TypeError < ValueError < TypeError < ValueError"


def test_the_context_of_a_bug_has_its_source_lines() -> None:
    """It names file, line and function of the innermost frames, without values."""

    def fall(depth: int) -> None:
        if not depth:
            raise ValueError("ada@x.test")
        fall(depth - 1)

    with pytest.raises(ValueError) as caught:
        fall(7)

    places = called().run(context, caught.value)["raised_at"]

    assert isinstance(places, list) and len(places) == 5
    assert all(place.startswith("test_reporting.py:") and place.endswith(" fall") for place in places)
