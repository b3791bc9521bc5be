"""Runs the commands of the documents in a shell that finds ``signin-worker`` on its path."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from deploy.local.places import PROJECT, cache_folder

_WITHIN_S = 60


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: str


class Shell:
    """A shell in a folder of its own, with only the variables that it needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

        programs = folder / "bin"
        programs.mkdir()
        command = programs / "signin-worker"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m signin_worker "$@"\n')
        command.chmod(0o755)

        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
            "PYTHONPYCACHEPREFIX": str(cache_folder() / "pycache"),
            "HOME": str(folder),
        }

    async def start(self, script: str, more: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
        """Start a script. With ``exec`` before its last command, the process becomes that command."""
        return await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", script),
            cwd=self.folder,
            env={**self._environment, **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    async def run(self, script: str, more: Mapping[str, str] | None = None) -> Ended:
        """Run a script to its end."""
        process = await self.start(script, more)
        try:
            output, errors = await asyncio.wait_for(process.communicate(), _WITHIN_S)
        except TimeoutError:
            process.kill()
            raise
        return Ended(process.returncode or 0, output.decode(), errors.decode())
