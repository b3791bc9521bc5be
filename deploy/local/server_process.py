"""A server that runs as a child process."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from deploy.local.places import StackError
from deploy.local.processes import Child

_TRIES: Final = 3
READY_WITHIN_S: Final = 60


def start_on_free_ports(launch: Callable[[], None], stop: Callable[[], None]) -> None:
    """Call ``launch`` until it succeeds, at most three times. Raises its ``StackError``.

    Each time it chooses other ports: another process may have taken one. After a failure,
    ``stop`` removes what was started.
    """
    for remaining in reversed(range(_TRIES)):
        try:
            return launch()
        except StackError:
            stop()
            if not remaining:
                raise


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
        """Start the server and return once it answers. Raises ``StackError``."""

        def launch() -> None:
            self._child = Child(self._name.lower())
            self._launch(self._child)

        start_on_free_ports(launch, self.stop)

    def stop(self) -> None:
        """End the server and remove its data. May be called again."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    @abstractmethod
    def _launch(self, child: Child) -> None:
        """Run the server in ``child`` on new ports, and return once it answers. Raises ``StackError``."""
