"""What is asked of the namespace, with a double of its answers. Integration tests ask a real one."""

from collections import deque
from typing import Any

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesResponse
from temporalio.service import RPCStatusCode

from tests.fakes.rpc_errors import rpc_error
from utils.temporal import namespace
from utils.temporal.namespace import ATTRIBUTES, shows_mailboxes

COMPLETE = ListSearchAttributesResponse(custom_attributes=ATTRIBUTES)
BUSY = rpc_error(RPCStatusCode.RESOURCE_EXHAUSTED)
AWAY = rpc_error(RPCStatusCode.UNAVAILABLE)
DENIED = rpc_error(RPCStatusCode.PERMISSION_DENIED)


class Server:
    """A client, and the operator's service of its server, which answers as told."""

    namespace = "default"

    def __init__(self, *answers: object) -> None:
        self.operator_service = self
        self.answers = deque(answers)

    async def list_search_attributes(self, *_: object, **__: object) -> Any:
        """Answer, or raise."""
        answer = self.answers.popleft()
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answers", "shown"),
    [
        ((COMPLETE,), True),
        ((BUSY, AWAY, COMPLETE), True),
        ((AWAY, BUSY, RuntimeError("no connection")), False),
        ((DENIED,), False),
    ],
)
async def test_a_server_that_is_busy_is_asked_again(
    answers: tuple[object, ...], shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's client does not try again by itself, and the answer holds until the worker ends."""
    monkeypatch.setattr(namespace, "_PAUSE_S", 0)
    server: Any = Server(*answers)

    assert await shows_mailboxes(server, "auto") == shown
    assert not server.answers
