"""What the simulation has found in the worker, and what became of it."""

from typing import Final, NamedTuple


class Finding(NamedTuple):
    """A defect: its story in short, with the seed or test that shows it, and its fix."""

    half: str
    what: str
    story: str
    fix: str


FINDINGS: Final = (
    Finding(
        "consumer",
        "The last commit of an assignment included logs that are gone",
        "A topic is deleted and made again while records are in work; the partitions are revoked; the offsets of the "
        "old log are committed for the new one.",
        "What is outdated is left out of the last commit.",
    ),
    Finding(
        "consumer",
        "An odd error of the coordinator stopped a worker for good",
        "The coordinator answers a heartbeat or a fetch of offsets with an error that the client does not know; a task "
        "of the client ends; nothing is read any more (`tests/simulation/consumer/test_findings.py`).",
        "The worker joins its group again at once.",
    ),
)
