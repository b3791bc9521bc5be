"""Cuts in handling: decoding, lanes, retries, dead letters."""

from typing import Final

from tests.sabotage.rules import Cut

_C = "consumers"
_T = "tests/unit/consumers"

CUTS: Final = (
    Cut(
        1,
        '"not now" is given up after a few tries',
        f"{_C}/handling/retrying.py",
        "                tries += 1\n",
        "                tries += 1\n                if tries > 3:\n                    raise RuntimeError\n",
        f"{_T}/handling/test_retrying.py::test_not_now_is_tried_again_until_there_is_an_outcome",
    ),
    Cut(
        2,
        "a late submission is sent to Temporal",
        f"{_C}/handling/dispatch.py",
        "return Late() if age > self._late else None",
        "return None",
        f"{_T}/handling/test_dispatch.py::test_the_age_of_an_event_decides_whether_it_is_applied",
    ),
    Cut(
        3,
        "each request has its own lane",
        f"{_C}/intake.py",
        'return f"signin/{event.signin_id}"',
        'return f"signin/{event.signin_id}/{record.offset}"',
        f"{_T}/test_intake.py::test_lanes_follow_the_payload",
    ),
    Cut(
        9,
        "a dead letter that cannot be written is dropped",
        f"{_C}/handling/dead_lettering.py",
        "                await self._sleep(wait_s)\n",
        "                return\n",
        f"{_T}/handling/test_dead_lettering.py::test_the_outcome_waits_for_kafkas_acknowledgement",
    ),
    Cut(
        9,
        "repeated headers are merged",
        f"{_C}/dead_letters/headers.py",
        "kept = [(name, value) for name, value in record.headers if name not in _DLT_NAMES]",
        "kept = [(name, value) for name, value in dict(record.headers).items() if name not in _DLT_NAMES]",
        f"{_T}/handling/test_dead_lettering.py::test_key_value_and_headers_are_kept_byte_for_byte",
    ),
    Cut(
        9,
        "dead letters have no breaker",
        f"{_C}/handling/dead_lettering.py",
        "            self._closed.clear()\n            return False\n",
        "            pass\n",
        f"{_T}/polling/test_loop.py::test_too_many_dead_letters_stop_consumption_until_resumed",
    ),
    Cut(
        9,
        "a dead letter is replayed without limit",
        f"{_C}/dead_letters/replay.py",
        "if letter.provenance.attempts >= self.max_attempts:",
        "if False:",
        f"{_T}/dead_letters/test_replay.py::test_a_letter_that_comes_again_and_again_is_passed_over",
    ),
    Cut(
        13,
        "a dead letter's reason quotes the value",
        f"{_C}/decode.py",
        "{error['type']}",
        "{error['msg']}",
        f"{_T}/test_decode.py::test_reasons_name_only_fields_and_rules",
    ),
)
