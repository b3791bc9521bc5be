"""How an error leaves an activity: logged with its context, then raised again as a type and a fixed text (SECURITY S8).

What an exception says may hold an address, a code or a token, so neither its text nor its arguments are ever looked at:
only the names of classes and, for a bug, the places in the source that it came through.
"""

import logging
import traceback
from pathlib import PurePath

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import Refused, SideEffectError

UNEXPECTED = "UnexpectedError"

_LONGEST_CHAIN = 5
_INNERMOST_FRAMES = 5


def failure(error: Exception) -> ApplicationError:
    """Return what leaves the activity in place of ``error``; raise it ``from None``.

    Anything but a ``SideEffectError`` is a bug here or in an adapter: it is tried again, since a fixed release may
    take over the same workflow.
    """
    if isinstance(error, SideEffectError):
        return ApplicationError(error.text, type=type(error).__name__, non_retryable=isinstance(error, Refused))
    return ApplicationError("an unexpected error", type=UNEXPECTED)


def severity(error: Exception) -> int:
    """Return the log level: a failing dependency is a warning, a bug an error."""
    return logging.WARNING if isinstance(error, SideEffectError) else logging.ERROR


def context(error: Exception | None = None, **more: object) -> dict[str, object]:
    """Return the ``extra`` of a log record: which activity, which try, of which workflow, what went wrong, ``more``."""
    info = activity.info()
    found: dict[str, object] = {
        "activity": info.activity_type,
        "activity_attempt": info.attempt,
        "workflow_id": info.workflow_id,
    }
    if error is not None:
        found["error"] = _class_names(error)
        if not isinstance(error, SideEffectError):
            found["raised_at"] = _places(error)
    return found | more


def _class_names(error: BaseException) -> str:
    """Name the error and what led to it: ``MailUnavailable < SMTPConnectError < ConnectionRefusedError``."""
    names: list[str] = []
    link: BaseException | None = error
    while link is not None and len(names) < _LONGEST_CHAIN:
        names.append(type(link).__name__)
        link = link.__cause__ or link.__context__
    return " < ".join(names)


def _places(error: Exception) -> list[str]:
    """Return the innermost frames, outermost first, without the values that they worked on."""
    frames = traceback.extract_tb(error.__traceback__)[-_INNERMOST_FRAMES:]
    return [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
