"""Default names of the Kafka topics (CONTRACT: inbound events, outbound events, dead letters)."""

from typing import Final

REQUESTED_TOPIC: Final = "signin.requested"
SUBMITTED_TOPIC: Final = "otp.submitted"
RESULTS_TOPIC: Final = "signin.results"

DEAD_LETTER_SUFFIX: Final = ".dlt"


def dead_letter_topic(topic: str) -> str:
    """Return the topic that takes the dead letters of ``topic``."""
    return topic + DEAD_LETTER_SUFFIX


def inbound_topic(dead_letter_topic: str) -> str:
    """Return the inbound topic that ``dead_letter_topic`` takes dead letters of."""
    return dead_letter_topic.removesuffix(DEAD_LETTER_SUFFIX)


def is_dead_letter_topic(topic: str) -> bool:
    """Tell whether ``topic`` is named like a dead-letter topic."""
    return topic.endswith(DEAD_LETTER_SUFFIX)
