"""One way to break the worker."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """Replaces ``old``, which occurs in ``file`` exactly once, with ``new``."""

    what: str
    file: str
    old: str
    new: str

    @property
    def module(self) -> str:
        """The name of the module that it changes."""
        return self.file.removesuffix(".py").replace("/", ".")
