"""Calls of activities as Temporal makes them, and what they log and raise."""

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
from pydantic import BaseModel
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, DefaultPayloadConverter
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

T = TypeVar("T", bound=BaseModel)

WORKFLOW_ID = "signin/some-sign-in/1"
ATTEMPT = 3

_STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({})))


def called(activity_type: str = "some_activity") -> ActivityEnvironment:
    """Return an environment for the third try of an activity."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info,
        activity_type=activity_type,
        attempt=ATTEMPT,
        workflow_id=WORKFLOW_ID,
    )
    return environment


async def failing(activity: Callable[[T], Awaitable[object]], task: T) -> ApplicationError:
    """Call the activity and return what it raised."""
    with pytest.raises(ApplicationError) as caught:
        await called().run(activity, task)
    return caught.value


class LogBook(logging.Handler):
    """Keeps the log records of the activities, from level debug up."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record."""
        self.records.append(record)

    def extras(self) -> list[dict[str, object]]:
        """Return what the records hold in ``extra``."""
        return [
            {name: value for name, value in vars(record).items() if name not in _STANDARD_ATTRIBUTES}
            for record in self.records
        ]

    def text(self) -> str:
        """Return everything in the records: messages, arguments, extras, tracebacks."""
        formatted = [logging.Formatter().format(record) for record in self.records]
        arguments = [repr(record.args) for record in self.records]
        return "\n".join([*formatted, *arguments, repr(self.extras())])


@contextmanager
def log_book() -> Iterator[LogBook]:
    """Keep the records that are logged in a block."""
    book = LogBook()
    logger = logging.getLogger("activities")
    level = logger.level

    logger.addHandler(book)
    logger.setLevel(logging.DEBUG)

    try:
        yield book
    finally:
        logger.removeHandler(book)
        logger.setLevel(level)


def outgoing(error: ApplicationError) -> str:
    """Return everything about an error that Temporal's converter lets out of the process."""
    failure = Failure()
    DefaultFailureConverter().to_failure(error, DefaultPayloadConverter(), failure)
    return f"{error} {error!r} {error.args!r} {error.details!r} {error.type} {failure}"
