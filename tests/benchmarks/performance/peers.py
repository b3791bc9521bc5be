"""Processes beside this one that are asked for things, in lines of JSON over their stdin and stdout.

What makes load must not be measured with what bears it, so each stands in a process of its own.
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
_LONGEST_LINE: Final = 64 * 1024 * 1024
_END_WITHIN_S: Final = 10


class Peer:
    """The other side of a process that calls ``serve``."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = psutil.Process(process.pid)
        self._running = process
        self._name = name
        self._asking = asyncio.Lock()

    async def ask(self, command: str, **arguments: Any) -> Any:
        """Have a command carried out and return its answer. Raises ``StackError`` if the process ended instead."""
        stdin = self._running.stdin
        stdout = self._running.stdout
        assert stdin is not None and stdout is not None

        async with self._asking:
            stdin.write(json.dumps([command, arguments]).encode() + b"\n")
            line = await stdout.readline()

        if not line:
            raise StackError(f"{self._name} ended while it was asked to {command}.")

        return json.loads(line)

    async def end(self) -> None:
        """Close its stdin, which ends it."""
        assert self._running.stdin is not None

        self._running.stdin.close()
        try:
            async with asyncio.timeout(_END_WITHIN_S):
                await self._running.wait()
        except TimeoutError:
            self._running.kill()
            await self._running.wait()


@asynccontextmanager
async def peer(name: str, **environment: str) -> AsyncIterator[Peer]:
    """Run ``tests.benchmarks.performance.<name>`` as a peer."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"{__package__}.{name}"),
        cwd=PROJECT,
        env=os.environ | {"PYTHONPYCACHEPREFIX": str(cache_folder() / "pycache")} | environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    other = Peer(process, name)
    try:
        yield other
    finally:
        await other.end()


async def serve(commands: Mapping[str, Command]) -> None:
    """Carry out what is asked on stdin, one after the other, until it is closed."""
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    while line := await reader.readline():
        command, arguments = json.loads(line)
        answer = await commands[command](**arguments)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
