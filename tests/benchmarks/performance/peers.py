"""Runs other processes and sends them commands, as lines of JSON over stdin and stdout.

Whatever causes load must not be measured together with whatever bears it, so each has a process of its own.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import psutil  # type: ignore[import-untyped]  # has no types

from deploy.local.places import PROJECT, StackError, cache_folder

Command = Callable[..., Awaitable[Any]]
_MAX_LINE: Final = 64 * 1024 * 1024
_END_WITHIN_S: Final = 10


class Peer:
    """The other side of a process that calls ``serve``."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = psutil.Process(process.pid)
        self._running = process
        self._name = name
        self._asking = asyncio.Lock()

    async def ask(self, command: str, **arguments: Any) -> Any:
        """Send a command and return its answer. Raises ``StackError`` if the process ends instead."""
        stdin = self._running.stdin
        stdout = self._running.stdout
        assert stdin is not None and stdout is not None

        async with self._asking:
            stdin.write(json.dumps([command, arguments]).encode() + b"\n")
            line = await stdout.readline()

        if not line:
            raise StackError(f"{self._name} ended during the command {command}.")

        return json.loads(line)

    async def end(self) -> None:
        """Close the process's stdin, which ends it."""
        assert self._running.stdin is not None

        self._running.stdin.close()
        try:
            async with asyncio.timeout(_END_WITHIN_S):
                await self._running.wait()
        except TimeoutError:
            self._running.kill()
            await self._running.wait()


@asynccontextmanager
async def run_peer(name: str, **environment: str) -> AsyncIterator[Peer]:
    """Run ``tests.benchmarks.performance.<name>`` as a peer."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"{__package__}.{name}"),
        cwd=PROJECT,
        env=os.environ | {"PYTHONPYCACHEPREFIX": str(cache_folder() / "pycache")} | environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_MAX_LINE,
    )

    peer = Peer(process, name)
    try:
        yield peer
    finally:
        await peer.end()


async def serve(commands: Mapping[str, Command]) -> None:
    """Run the commands that arrive on stdin, one at a time, until it is closed."""
    reader = asyncio.StreamReader(limit=_MAX_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    while line := await reader.readline():
        command, arguments = json.loads(line)
        answer = await commands[command](**arguments)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
