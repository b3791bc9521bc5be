"""Headers of dead letters: their names, and the values of ``dlt-error``."""

from typing import Final, Literal

DeadLetterError = Literal["not_json", "schema", "too_large", "refused", "unreadable"]
"""Why a record can never be applied, as the header ``dlt-error`` says it."""


class DltHeader:
    """The names of the headers that say where a dead letter came from, and why."""

    TOPIC: Final = "dlt-topic"
    PARTITION: Final = "dlt-partition"
    OFFSET: Final = "dlt-offset"
    LAST_OFFSET: Final = "dlt-last-offset"
    TIMESTAMP: Final = "dlt-timestamp"
    GROUP: Final = "dlt-group"
    ERROR: Final = "dlt-error"
    REASON: Final = "dlt-reason"
    FAILED_AT: Final = "dlt-failed-at"
    ATTEMPTS: Final = "dlt-attempts"
    VALUE_SIZE: Final = "dlt-value-size"
    VALUE_SHA256: Final = "dlt-value-sha256"
