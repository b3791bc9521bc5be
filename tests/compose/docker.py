"""Docker and its compose plugin, by their commands."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from deploy.local.places import PROJECT, StackError

COMPOSE_FILE: Final = PROJECT / "deploy" / "compose" / "compose.yaml"
OFFLINE: Final = COMPOSE_FILE.with_name("offline.env")
PROJECT_NAME: Final = "signin-worker-check"
_NO_DAEMON: Final = (
    "Docker's daemon does not answer. Start it (dockerd), or name it in DOCKER_HOST. Nothing was checked."
)
_NO_COMPOSE: Final = (
    "There is no compose plugin of version 2 or later: neither `docker compose` nor `docker-compose` is one. Debian's "
    "docker-compose is version 1. Go builds it from the module github.com/docker/compose/v2."
)


def docker(*arguments: str) -> str:
    """Run a command of Docker; return its output. Raises ``StackError``."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"docker {' '.join(arguments[:2])} failed:\n{done.stderr[-3000:]}")
    return done.stdout.strip()


def require_daemon() -> None:
    """Raise ``StackError`` unless a daemon answers."""
    if shutil.which("docker") is None:
        raise StackError("There is no Docker. Nothing was checked.")
    try:
        docker("version", "--format", "{{.Server.Version}}")
    except StackError:
        raise StackError(_NO_DAEMON) from None


def compose_command() -> list[str]:
    """Return the plugin, or the program of its own that it also is. Raises ``StackError``."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            major = done.stdout.strip().removeprefix("v").partition(".")[0]
            if done.returncode == 0 and major.isdigit() and int(major) >= 2:
                return command
    raise StackError(_NO_COMPOSE)


class Compose:
    """The stack of ``deploy/compose`` with all its profiles, for offline use. ``overlays`` are merged into its file."""

    def __init__(self, overlays: Sequence[Path]) -> None:
        files = [part for file in (COMPOSE_FILE, *overlays) for part in ("--file", str(file))]
        profile = ["--project-name", PROJECT_NAME, "--profile", "*", "--env-file", str(OFFLINE)]
        self._command = [*compose_command(), *files, *profile]

    def show(self, *arguments: str) -> None:
        """Run a command of compose, whose output the caller sees. Raises ``StackError``."""
        done = subprocess.run([*self._command, *arguments], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise StackError(f"docker compose {' '.join(arguments)} ended with {done.returncode}.")

    def ask(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a command of compose; return its output. Raises ``StackError``."""
        done = subprocess.run(
            [*self._command, *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=environment,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"docker compose {' '.join(arguments)} failed:\n{done.stdout[-500:]}{done.stderr[-2000:]}")
        return done.stdout.strip()

    def worker(self, *arguments: str) -> str:
        """Run a command in the worker's container, as docs/compose.md does."""
        return self.ask("exec", "--no-TTY", "worker", "signin-worker", *arguments)


def leftovers() -> list[str]:
    """Return the names of the containers, volumes and networks of the stack that exist."""
    label = f"label=com.docker.compose.project={PROJECT_NAME}"
    asked = [
        docker("ps", "--all", "--filter", label, "--format", "{{.Names}}"),
        docker("volume", "ls", "--filter", label, "--format", "{{.Name}}"),
        docker("network", "ls", "--filter", label, "--format", "{{.Name}}"),
    ]
    return [name for names in asked for name in names.splitlines()]
