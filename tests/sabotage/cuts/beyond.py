"""Cuts beyond the consumers: Kafka's settings, the workflows' rules, the policy."""

from typing import Final

from tests.sabotage.rules import Cut


CUTS: Final = (
    Cut(
        2,
        "a mailbox forgets the submissions it has seen",
        "workflows/rules/memory.py",
        "        _append(self._state.seen, digest, MAX_SEEN_SUBMISSIONS)\n",
        "",
        "tests/unit/workflows/rules/test_submissions.py::test_a_submission_that_is_read_again_has_no_second_answer",
    ),
    Cut(
        3,
        "a code that overtakes its request is rejected at once",
        "schemas/policy.py",
        "unknown_signin_wait_s: float = Field(10, gt=0, le=60)",
        "unknown_signin_wait_s: float = Field(0.001, gt=0, le=60)",
        "tests/unit/workflows/rules/test_submissions.py::test_a_code_that_overtakes_its_request_waits_for_it",
    ),
    Cut(
        12,
        "a new group starts at the end of the topics",
        "utils/kafka/source.py",
        '"auto_offset_reset": "earliest"',
        '"auto_offset_reset": "latest"',
        "tests/unit/utils/kafka/test_source.py::test_the_consumers_settings_are_what_the_worker_relies_on",
    ),
)
