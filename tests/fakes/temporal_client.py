"""Temporal's client, as far as the gateway calls it."""

from typing import Any, cast

from temporalio.client import Client


class FakeTemporalClient:
    """Keeps the calls of ``start_workflow``: workflow, argument and options.

    Raises ``error`` if it is set.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, dict[str, Any]]] = []
        self.error: Exception | None = None

    async def start_workflow(self, workflow: str, arg: Any, **options: Any) -> None:
        """Keep the call, or raise."""
        if self.error is not None:
            raise self.error
        self.calls.append((workflow, arg, options))

    def as_client(self) -> Client:
        """Return itself under the type of the real client."""
        return cast(Client, self)
