"""What commands are given instead of clients of real servers, and a way to run them with it."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import typer
from typer.testing import CliRunner

from activities.addresses import Address
from consumers.ports import DeadLetterReader, InboundWriter, ReplayStore
from schemas.limits import Clearing, LimitsReport
from schemas.status import Status, Trace
from schemas.topics import dead_letter_topic
from tests.fakes.dead_letter_topics import FakeDeadLetterTopics, FakeInboundWriter
from utils.settings.loading import load_settings
from utils.temporal.limits import TemporalLimits
from utils.wiring import ReadStatus, Wiring

_KEY: Final = base64.b64encode(bytes(32)).decode()
_ENVIRON: Final = {
    "SIGNIN_ENVIRONMENT": "development",
    "SIGNIN_KEYS__ACCOUNT": _KEY,
    "SIGNIN_KEYS__CODE": f"c:{_KEY}",
    "SIGNIN_KEYS__PAYLOAD": f"p:{_KEY}",
}


class FakeLimits(TemporalLimits):
    """Has one report for every mailbox."""

    def __init__(self, report: LimitsReport | None) -> None:
        self.report = report
        self.asked: list[tuple[str, str]] = []
        self.cleared: list[tuple[str, Clearing]] = []

    async def show(self, mailbox: str, account: str) -> LimitsReport | None:
        """Note who was asked about."""
        self.asked.append((mailbox, account))
        return self.report

    async def clear(self, mailbox: str, clearing: Clearing) -> LimitsReport | None:
        """Note what was cleared."""
        self.cleared.append((mailbox, clearing))
        return self.report


class FakeWiring(Wiring):
    """The wiring of development settings, with fakes for what commands use. Called, it fulfils ``Wire``."""

    def __init__(self) -> None:
        super().__init__(load_settings(_ENVIRON))
        self.fake_letters = FakeDeadLetterTopics(*map(dead_letter_topic, self.inbound_topics))
        self.fake_inbound = FakeInboundWriter()
        self.inbound_closed = 0
        self.consumer_stopped = True
        self.fake_limits = FakeLimits(None)
        self.fake_status: Status | None = None
        self.fake_trace: Trace | None = None
        self.traced: list[tuple[str, Address | None]] = []

    def __call__(self, *only: str) -> Wiring:
        """Return itself."""
        return self

    def dead_letters(self) -> AbstractAsyncContextManager[DeadLetterReader]:
        """Return the dead letters in memory."""
        return self.fake_letters

    def replay_store(self) -> AbstractAsyncContextManager[ReplayStore]:
        """Return the store in memory."""
        return self.fake_letters

    @asynccontextmanager
    async def inbound_writer(self) -> AsyncIterator[InboundWriter]:
        """Yield the inbound topics in memory, and count how often their writer is closed."""
        try:
            yield self.fake_inbound
        finally:
            self.inbound_closed += 1

    async def resume(self) -> bool:
        """Resume the consumer."""
        was_stopped = self.consumer_stopped
        self.consumer_stopped = False
        return was_stopped

    async def limits(self) -> TemporalLimits:
        """Return the budgets in memory."""
        return self.fake_limits

    def status_reader(self) -> ReadStatus:
        """Return a reader of the status in memory."""
        return self._read_status

    async def trace(self, signin_id: str, address: Address | None) -> Trace:
        """Return the trace in memory; note which sign-in was asked about."""
        self.traced.append((signin_id, address))
        assert self.fake_trace is not None
        return self.fake_trace

    async def _read_status(self) -> Status:
        assert self.fake_status is not None
        return self.fake_status


def invoke(command: Callable[..., None] | typer.Typer, wiring: FakeWiring, *arguments: str) -> tuple[int, str]:
    """Run a command, or a command of a group; return its exit code and all that it prints."""
    if isinstance(command, typer.Typer):
        cli = command
    else:
        cli = typer.Typer()
        cli.command()(command)

    result = CliRunner().invoke(cli, arguments, obj=wiring)

    return result.exit_code, result.output
