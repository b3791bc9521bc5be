"""A server that runs as a child process."""

from abc import ABC, abstractmethod
from typing import Final

from deploy.local.places import StackError
from deploy.local.processes import Child

_TRIES: Final = 3
READY_WITHIN_S: Final = 60


class ServerProcess(ABC):
    """A server on free ports of the loopback interface. All its data goes when it stops."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._child: Child | None = None

    @property
    def process(self) -> Child:
        """The server's process. Raises ``StackError`` if it was never started."""
        if self._child is None:
            raise StackError(f"{self._name} was not started.")
        return self._child

    def start(self) -> None:
        """Start the server and return once it answers. Raises ``StackError``.

        If it does not start, it is tried again with other ports: another process may have
        taken one.
        """
        for remaining in reversed(range(_TRIES)):
            self._child = Child(self._name.lower())
            try:
                return self._launch(self._child)
            except StackError:
                self.stop()
                if not remaining:
                    raise

    def stop(self) -> None:
        """End the server and remove its data. May be called again."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    @abstractmethod
    def _launch(self, child: Child) -> None:
        """Run the server in ``child`` on new ports, and return once it answers. Raises ``StackError``."""
