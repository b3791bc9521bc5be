"""Simulations say nothing to the log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


def be_silent() -> None:
    """Log nothing in this process any more."""
    logging.disable(logging.CRITICAL)


@contextmanager
def silence() -> Iterator[None]:
    """Log nothing for a while. Within another silence it costs nothing: each change clears every logger's cache."""
    if logging.root.manager.disable >= logging.CRITICAL:
        yield
        return

    be_silent()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
