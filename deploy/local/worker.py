"""The worker as the real command, in a process of its own."""

import asyncio
import os
import secrets
import sys
from base64 import b64encode
from collections.abc import Mapping
from typing import Final

import httpx

from deploy.local.places import LOOPBACK, PROJECT, StackError, cache_folder
from deploy.local.processes import Child
from deploy.local.servers.siteverify import ACTION, HOSTNAME, SECRET
from deploy.local.waiting import eventually

_READY_WITHIN_S: Final = 60
_GRACE_S: Final = 35
_INHERITED_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "COVERAGE_PROCESS_START")


class LocalWorker:
    """One ``signin-worker run``. Once it has ended, it can be started again; ``settings`` may be changed before."""

    def __init__(self, settings: Mapping[str, str], http_port: int, name: str = "worker") -> None:
        listening = {"SIGNIN_HTTP__HOST": LOOPBACK, "SIGNIN_HTTP__PORT": str(http_port)}
        self.settings = {**settings, **listening}
        self.process = Child(name, grace_s=_GRACE_S)
        self._http_port = http_port

    @property
    def metrics_url(self) -> str:
        """The URL of the worker's metrics."""
        return self._url("metrics")

    async def create_topics(self) -> None:
        """Run ``signin-worker topics create``. Raises ``StackError``."""
        await self._call("topics", "create")

    async def create_namespace(self) -> None:
        """Run ``signin-worker temporal create``. Raises ``StackError``."""
        await self._call("temporal", "create")

    def launch(self) -> None:
        """Start the worker and return at once."""
        self.process.start(command("run"), self._environment())

    async def start(self) -> None:
        """Start the worker and return once it is ready. Raises ``StackError``."""
        self.launch()
        try:
            await eventually(self.is_ready, "the worker is ready", within_s=_READY_WITHIN_S)
        except TimeoutError as error:
            raise StackError(
                f"The worker was not ready within {_READY_WITHIN_S} s. Its last output:\n{self.process.last_output()}"
            ) from error

    async def is_ready(self) -> bool:
        """Tell whether the worker is ready. Raises ``StackError`` if it has ended."""
        if not self.process.running:
            raise StackError(f"The worker ended while it was starting. Its last output:\n{self.process.last_output()}")

        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.get(self._url("readyz"))).is_success
            except httpx.TransportError:
                return False

    async def end(self) -> None:
        """Send SIGTERM. Raises ``StackError`` unless the worker exits with 0."""
        code = await asyncio.to_thread(self.process.end)
        if code != 0:
            output = self.process.last_output()
            raise StackError(f"The worker exited with {code} after SIGTERM. Its last output:\n{output}")

    def stop(self) -> None:
        """End the worker and remove its folder. May be called again."""
        self.process.stop()

    async def _call(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *command(*arguments),
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()

        if process.returncode != 0:
            called = " ".join(arguments)
            raise StackError(f"signin-worker {called} exited with {process.returncode}:\n{output.decode()}")

    def _url(self, page: str) -> str:
        return f"http://{LOOPBACK}:{self._http_port}/{page}"

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ}
        own = {
            "PYTHONPATH": str(PROJECT),
            "PYTHONPYCACHEPREFIX": str(cache_folder() / "pycache"),
            "HOME": str(self.process.folder),  # no profile of the user, no file outside the cache
            "TMPDIR": str(self.process.folder),
        }
        return {**kept, **self.settings, **own}


def command(*arguments: str) -> list[str]:
    """Return the worker's command line."""
    return [sys.executable, "-m", "signin_worker", *arguments]


def development_settings(addresses: Mapping[str, str]) -> dict[str, str]:
    """Return settings for a worker of the local stack, with new keys. ``addresses`` are added to them."""
    return {
        "SIGNIN_ENVIRONMENT": "development",
        "SIGNIN_SMTP__SECURITY": "none",
        "SIGNIN_SMTP__SENDER": "Sign-in <signin@mail.example>",
        "SIGNIN_TURNSTILE__SECRET": SECRET,
        "SIGNIN_TURNSTILE__HOSTNAMES": HOSTNAME,
        "SIGNIN_TURNSTILE__ACTION": ACTION,
        "SIGNIN_KEYS__ACCOUNT": new_key(),
        "SIGNIN_KEYS__CODE": f"local:{new_key()}",
        "SIGNIN_KEYS__PAYLOAD": f"local:{new_key()}",
        "SIGNIN_LOG__FORMAT": "json",
        **addresses,
    }


def new_key() -> str:
    """Return a random key in the form that the settings expect."""
    return b64encode(secrets.token_bytes(32)).decode()
