"""Default names of the Kafka topics (CONTRACT: inbound events, outbound events, dead letters)."""

from typing import Final

REQUESTED_TOPIC: Final = "signin.requested"
SUBMITTED_TOPIC: Final = "otp.submitted"
RESULTS_TOPIC: Final = "signin.results"

DEAD_LETTER_SUFFIX: Final = ".dlt"


def dead_letter_topic(topic: str) -> str:
    """Return the topic that takes the dead letters of ``topic``."""
    return topic + DEAD_LETTER_SUFFIX
