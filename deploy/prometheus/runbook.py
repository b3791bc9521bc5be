"""Where an alert's section of the runbook is: alerts reach people who have no copy of this repository."""

import re
import tomllib
from pathlib import Path
from typing import Final

from deploy.local.places import PROJECT

_URL: Final = re.compile(r'(?<=runbook_url: )("?)https?://[^\s"]*/runbook/#(\w+)')


def documentation_url() -> str:
    """Return the address of the published documents, from ``[project.urls]``."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return str(project["urls"]["Documentation"])


def runbook_url(alert: str) -> str:
    """Return the address of an alert's section."""
    return f"{documentation_url()}runbook/#{alert.lower()}"


def readdress(file: Path) -> None:
    """Write the addresses in a file of rules or tests anew, after ``[project.urls]`` has changed."""
    file.write_text(_URL.sub(lambda match: f"{match[1]}{runbook_url(match[2])}", file.read_text()))
