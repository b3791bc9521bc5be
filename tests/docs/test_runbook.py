"""The commands of the runbook and of the upgrading page exist, and the worker writes the log lines that it quotes."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest

from deploy.local.places import PROJECT
from deploy.local.processes import executable
from tests.docs.documents import blocks, code
from tests.docs.generated import commands

_RUNBOOK: Final = PROJECT / "docs" / "runbook.md"
_UPGRADING: Final = PROJECT / "docs" / "upgrading.md"
_PROGRAMS: Final = ("signin-worker", "kubectl", "temporal", "docker")


def _lines() -> Iterator[str]:
    for page in (_RUNBOOK, _UPGRADING):
        for block in blocks(page, "sh"):
            yield from block.text.splitlines()


def _inline() -> list[str]:
    """Return the inline code outside of blocks that holds a blank: commands and log lines."""
    text = re.sub(r"^```.*?^```$", "", _RUNBOOK.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [each for each in code(text) if " " in each]


def _usages() -> dict[str, str]:
    return {usage.removeprefix("signin-worker "): usage for usage in commands()}


def test_commands_of_the_worker_exist() -> None:
    """Every command that the pages name exists, with the options that they use."""
    lines = [*_lines(), *_inline()]
    mentions = [line for line in lines if "signin-worker " in line and "name=signin-worker" not in line]
    calls = [line.rpartition("signin-worker ")[2] for line in mentions]

    assert len(calls) > 10

    for call in calls:
        words = shlex.split(call)
        names = {" ".join(words[:count]) for count in (1, 2)}
        found = [usage for name, usage in _usages().items() if any(f"{name} ".startswith(f"{each} ") for each in names)]

        assert found, call

        options = {word for word in words if word.startswith("--")}

        assert any(all(option in usage for option in options) for usage in found), call


@pytest.mark.parametrize("line", [line for line in _lines() if line.startswith("temporal ")])
def test_commands_of_temporal_exist(line: str) -> None:
    """Temporal's command line has each command, with these options."""
    words = shlex.split(line)[1:]
    names = words[: next((place for place, word in enumerate(words) if word.startswith("-")), len(words))]
    shown = subprocess.run(
        [executable("temporal"), *names, "--help"], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    assert f"temporal {' '.join(names)}" in shown
    assert [word for word in words if word.startswith("--") and f"{word} " not in shown] == []


def test_one_pod_without_a_log_hides_no_other() -> None:
    """Of several pods, kubectl ends at the first that is pending or, asked for the log before, has never ended."""
    lines = [line for line in _lines() if line.startswith("kubectl logs --selector ")]

    assert any("--previous" in line for line in lines)
    assert [line for line in lines if "--ignore-errors" not in line] == []


def test_log_lines_are_written_by_the_worker() -> None:
    """Every log line that the runbook quotes is in the sources."""
    quoted = {each for each in _inline() if not each.startswith((*_PROGRAMS, "--")) and each[0].isalpha()}
    assert len(quoted) > 4

    sources = "".join(
        path.read_text()
        for folder in ("consumers", "activities", "utils", "workflows")
        for path in (PROJECT / folder).rglob("*.py")
    )

    assert [each for each in quoted if each not in sources] == []
