"""Files that are replaced while the worker runs: certificates, keys, passwords (docs/adr/0021)."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

logger = logging.getLogger(__name__)

_ABSENT: Final = b"\0absent"
_T = TypeVar("_T")


class Reloaded(Generic[_T]):
    """A value that is loaded from files, and again when their content changes.

    A new value that cannot be loaded changes nothing: of a certificate and its key, the
    first may already be new while the second is still old. The last value that could be
    loaded stays in use, and the next change is tried.

    ``load`` raises ``OSError`` or ``ValueError`` if the files cannot be used.
    """

    def __init__(
        self,
        name: str,
        paths: Sequence[str | Path],
        load: Callable[[], _T],
        first: _T | None = None,
    ) -> None:
        self.name = name
        self._paths = [Path(path) for path in paths]
        self._load = load
        self._loaded: tuple[_T] | None = None if first is None else (first,)
        self._tried = b""
        self._error: Exception | None = None

    @property
    def is_outdated(self) -> bool:
        """Whether the files have changed and cannot be used."""
        return self._error is not None

    def value(self) -> _T:
        """Return the latest value that could be loaded.

        Raises ``OSError`` or ``ValueError`` if there was none yet.
        """
        # The digest is taken first: if the files change while they are loaded, the next call loads them again.
        digest = _digest(self._paths)
        if digest != self._tried:
            self._tried = digest
            self._try_to_load()

        if self._loaded is not None:
            return self._loaded[0]

        assert self._error is not None, "either there is a value or an error"
        raise self._error

    def _try_to_load(self) -> None:
        previous = self._loaded

        try:
            self._loaded = (self._load(),)
        except (OSError, ValueError) as error:
            self._error = error
            logger.error("credentials cannot be loaded", extra=self._as_log(error))
            return

        self._error = None
        if previous is not None and previous != self._loaded:
            logger.info("credentials have been replaced", extra={"credentials": self.name})

    def _as_log(self, error: Exception) -> dict[str, Any]:
        """Return the fields of a log line. The error's text is left out: it may quote the file."""
        return {
            "credentials": self.name,
            "error": type(error).__name__,
            "reason": getattr(error, "reason", None),  # OpenSSL's, such as KEY_VALUES_MISMATCH
            "old_ones_stay": self._loaded is not None,
        }


Secret = str | Reloaded[str]
"""A secret that stays the same, or one in a file that may change."""


def reveal(secret: Secret) -> str:
    """Return the secret as it is now. Call it where the secret is used, so that a new one needs no restart."""
    return secret.value() if isinstance(secret, Reloaded) else secret


def secret_file(name: str, path: str | Path, first: str | None = None) -> Reloaded[str]:
    """Return the secret that a file holds, without the blanks around it.

    ``first`` was read at the start. With it, ``value`` never raises.
    """
    file = Path(path)

    def load() -> str:
        secret = file.read_text(encoding="utf-8").strip()
        if not secret:
            raise ValueError("the file is empty")
        return secret

    return Reloaded(name, [file], load, first)


class CredentialWatch:
    """Calls each of ``refreshers`` every ``every_s`` seconds, until it is stopped. None waits for another.

    Polling, because mounted secrets are replaced in many ways, and not all are reported by the kernel.
    """

    def __init__(self, refreshers: Sequence[Callable[[], Awaitable[None]]], every_s: float = 5.0) -> None:
        self._refreshers = refreshers
        self._every_s = every_s
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run until ``stop``."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stopping.wait())
            for refresh in self._refreshers:
                group.create_task(self._repeat(refresh))

    def stop(self) -> None:
        """Let ``run`` return."""
        self._stopping.set()

    async def _repeat(self, refresh: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            await refresh()

            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._every_s)


def _digest(paths: Sequence[Path]) -> bytes:
    """Return a digest of the files' contents. Modification times are not enough: mounted secrets keep them."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError:
            content = _ABSENT
        digest.update(hashlib.sha256(content).digest())

    return digest.digest()
