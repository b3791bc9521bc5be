"""How an error leaves an activity (SECURITY S8).

It is logged with its context, then raised as a type and a fixed text. The message of an exception
may contain an address, a code or a token, so neither it nor the arguments are ever read: only
class names and, for a bug, the source lines it passed through.
"""

import logging
import traceback
from pathlib import PurePath

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import Refused, SideEffectError

UNEXPECTED = "UnexpectedError"

_MAX_CHAIN = 5
_MAX_FRAMES = 5


def failure(error: Exception) -> ApplicationError:
    """Return the error to raise, ``from None``, in place of ``error``.

    Anything but a ``SideEffectError`` is a bug here or in an adapter. It is retried, since a
    fixed release may take over the same workflow.
    """
    if isinstance(error, SideEffectError):
        final = isinstance(error, Refused)
        return ApplicationError(error.text, *error.details, type=type(error).__name__, non_retryable=final)
    return ApplicationError("an unexpected error", type=UNEXPECTED)


def severity(error: Exception) -> int:
    """Return the log level: warning for a failing dependency, error for a bug."""
    return logging.WARNING if isinstance(error, SideEffectError) else logging.ERROR


def context(error: Exception | None = None, **more: object) -> dict[str, object]:
    """Return the ``extra`` of a log record: activity, try, workflow, error, and ``more``."""
    info = activity.info()
    fields: dict[str, object] = {
        "activity": info.activity_type,
        "activity_attempt": info.attempt,
        "workflow_id": info.workflow_id,
    }

    if error is not None:
        fields["error"] = _class_names(error)
        if not isinstance(error, SideEffectError):
            fields["raised_at"] = _source_lines(error)

    return fields | more


def _class_names(error: BaseException) -> str:
    """Name the error and its causes: ``MailUnavailable < SMTPConnectError < OSError``."""
    names: list[str] = []
    link: BaseException | None = error
    while link is not None and len(names) < _MAX_CHAIN:
        names.append(type(link).__name__)
        link = link.__cause__ or link.__context__
    return " < ".join(names)


def _source_lines(error: Exception) -> list[str]:
    """Return the innermost frames, outermost first, without values."""
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    return [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
