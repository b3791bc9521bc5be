"""Dead letters as an operator sees them."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from consumers.dead_letters.letters import (
    Selection,
    dead_letter,
    partition_ranges,
    selected_letters,
)
from consumers.decode import MAX_VALUE_BYTES
from consumers.ports import KafkaUnavailable, Record
from schemas.topics import dead_letter_topic
from tests.fakes.dead_letter_topics import FakeDeadLetterTopics
from tests.fakes.dead_letters import FAILED_AT, letter_record
from tests.fakes.inbound import SUBMITTED, signin_id, submission_data

TOPIC = dead_letter_topic(SUBMITTED)
ENVELOPED = [("content-type", b"application/cloudevents+json")]


def as_value(data: object) -> bytes:
    """Return JSON."""
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    "record",
    [
        Record(TOPIC, 0, 0, None, as_value(submission_data(7))),
        Record(TOPIC, 0, 0, b"\xff", as_value({"signin_id": signin_id(7), "code": 1})),
        Record(
            TOPIC,
            0,
            0,
            None,
            as_value({"data": {"signin_id": signin_id(7)}}),
            ENVELOPED,
        ),
        Record(
            TOPIC,
            0,
            0,
            None,
            as_value({"data_base64": base64.b64encode(as_value(submission_data(7))).decode()}),
            ENVELOPED,
        ),
        Record(TOPIC, 0, 0, signin_id(7).encode(), b"{"),
        Record(
            TOPIC,
            0,
            0,
            signin_id(7).encode(),
            as_value({"signin_id": "ada@example.com"}),
        ),
        Record(TOPIC, 0, 0, signin_id(7).encode(), as_value([])),
        Record(
            TOPIC,
            0,
            0,
            signin_id(7).encode(),
            as_value(submission_data(8, code="1" * MAX_VALUE_BYTES)),
        ),
    ],
)
def test_the_sign_in_is_read_from_the_value_or_else_from_the_key(
    record: Record,
) -> None:
    """The value is read in every form in which an event may arrive, however little of it is valid."""
    assert dead_letter(record).signin_id == signin_id(7)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"{", b'{"signin_id": 7}', b"[" * 1000])
def test_a_letter_without_an_id_has_no_sign_in(value: bytes | None) -> None:
    """Neither value nor key holds an id. Reading the record does not fail."""
    assert dead_letter(Record(TOPIC, 0, 0, b"key", value)).signin_id is None


def test_without_a_time_of_failure_the_broker_s_timestamp_counts() -> None:
    """So every letter can be selected by time.

    A timestamp that is no time counts as the epoch's beginning.
    """
    record = Record(TOPIC, 0, 0, None, None, (), 1_700_000_000_000)
    assert dead_letter(record).failed_at == datetime.fromtimestamp(1_700_000_000, UTC)
    for no_time in (-1, 2**62):
        assert dead_letter(replace(record, timestamp_ms=no_time)).failed_at == datetime.fromtimestamp(0, UTC)


@pytest.mark.parametrize(
    ("selection", "matches"),
    [
        (Selection(), True),
        (Selection(error="schema", signin_id=signin_id(7)), True),
        (Selection(error="not_json"), False),
        (Selection(signin_id=signin_id(8)), False),
        (Selection(since=FAILED_AT), True),
        (Selection(until=FAILED_AT), False),
        (Selection(until=FAILED_AT + timedelta(seconds=1)), True),
        (Selection(since=FAILED_AT + timedelta(seconds=1)), False),
    ],
)
def test_a_selection_matches_letters_that_fit_every_field(selection: Selection, matches: bool) -> None:
    """``since`` is included, ``until`` is not."""
    assert selection.matches(dead_letter(letter_record(7))) is matches


async def test_each_letter_comes_with_whether_it_was_put_back() -> None:
    """Letters come in the order of topic, partition and offset."""
    topics = FakeDeadLetterTopics(TOPIC, "a.dlt", partitions=2)
    for number in range(3):
        topics.append(letter_record(number))

    ranges = await partition_ranges(topics, topics, [TOPIC, "a.dlt"])

    assert [part.partition for part in ranges] == [
        (TOPIC, 0),
        (TOPIC, 1),
        ("a.dlt", 0),
        ("a.dlt", 1),
    ]

    ranges[0].replayed.add(1)
    seen = [
        (letter.record.offset, put_back) async for letter, put_back in selected_letters(topics, ranges, Selection())
    ]

    assert seen == [(0, False), (1, True), (2, False)]


async def test_a_topic_that_is_missing_is_an_error() -> None:
    """Otherwise an operator would read that there are no dead letters."""
    topics = FakeDeadLetterTopics(TOPIC)
    with pytest.raises(KafkaUnavailable, match="missing"):
        await partition_ranges(topics, topics, ["other.dlt"])
