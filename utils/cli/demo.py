"""The command ``signin-worker demo``: replaces this process by the demo in the project's sources."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from utils.cli.terminal import end_command


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep everything running until Ctrl-C.")] = False,
    report: Annotated[str, typer.Option("--json", metavar="FILE", help="Write a report; - is stdout.")] = "",
) -> None:
    """Run the demo, as make demo does: virtual people sign in on real servers started for them."""
    sources = Path(__file__).resolve().parents[2]
    if not (sources / "deploy" / "demo").is_dir() or find_spec("jgo") is None:
        end_command(os.EX_UNAVAILABLE, "The demo needs the project's sources and its test environment: run make demo.")

    arguments = [*(["--keep"] if keep else []), *(["--json", report] if report else [])]
    environment = os.environ | {"PYTHONPATH": str(sources)}
    os.execve(sys.executable, [sys.executable, "-m", "deploy.demo", *arguments], environment)
