"""What is found to be wrong."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """A broken promise: the rule, the sign-in or position where it is broken, and what is wrong."""

    rule: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.where}: {self.text}"


Violations = Iterator[Violation]
