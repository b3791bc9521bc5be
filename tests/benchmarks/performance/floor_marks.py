"""Lets the floor's workflows report to the process around them: a line on stdout, exempt from the sandbox."""

import os


def mark(what: str, workflow_id: str) -> None:
    """Write a line to stdout without buffering."""
    os.write(1, f"{what} {workflow_id}\n".encode())
