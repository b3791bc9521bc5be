"""Dead letters on a real Kafka are put back, marked, listed and shown."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from consumers.dead_letters.letters import Selection, partition_ranges
from consumers.dead_letters.replay import AnotherReplay
from consumers.ports import Headers, KafkaUnavailable, Partition, RecordRefused, ReplayMark
from deploy.local.waiting import eventually
from schemas.dead_letters import DeadLetterError
from tests.fakes.inbound import signin_id, submission_data
from tests.integration.dead_letter_bench import DeadLetterBench
from utils.kafka.dead_letters import KafkaDeadLetterReader, KafkaReplayStore
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES

CODE = "90417263"
ADDRESS = "ada.lovelace@example.com"

pytestmark = pytest.mark.usefixtures("restored_logging")


class StoreOfKilled(KafkaReplayStore):
    """The store of a replay that is killed before it saves a mark."""

    async def save(self, partition: Partition, mark: ReplayMark) -> None:
        """Die."""
        raise KafkaUnavailable("killed")


async def test_the_command_puts_letters_back_byte_for_byte_and_once(
    bench: DeadLetterBench,
) -> None:
    """Repeats, nulls and tombstones return where they came from.

    The second time nothing is left.
    """
    cases: Sequence[tuple[bytes | None, bytes | None, Headers]] = [
        (
            b"\xff\x00",
            b"\xfe{",
            [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None)],
        ),
        (b"tombstone", None, []),
        (None, b"no key", [("content-type", b"\xff")]),
        (None, None, []),
    ]
    for number, (key, value, headers) in enumerate(cases):
        await bench.add(number, value, key=key, headers=headers)

    assert await bench.lines("replay") == [{"put_back": 4, "passed_over": {}}]

    records = await bench.inbound()

    assert [(record.topic, record.partition) for record in records] == [(bench.topics.submitted, 1)] * 4

    for key, value, headers in cases:
        [record] = [each for each in records if (each.key, each.value) == (key, value)]

        assert list(record.headers)[: len(headers)] == list(headers)
        assert dict(record.headers)["dlt-attempts"] == b"1"
        assert len(record.headers) == len(headers) + 9

    assert [line["put_back"] for line in await bench.lines("list")] == [True] * 4

    code, output, errors = await bench.process("replay")

    assert (code, output) == (0, "put back: 0\n"), errors
    assert len(await bench.inbound()) == 4


async def test_letters_left_out_by_a_filter_are_put_back_later(
    bench: DeadLetterBench,
) -> None:
    """Whatever the order of filters, each letter goes back once."""
    errors: Sequence[DeadLetterError] = (
        "schema",
        "not_json",
        "schema",
        "refused",
        "not_json",
    )
    for number, error in enumerate(errors):
        await bench.add(number, b"%d" % number, error=error)

    assert (await bench.replay(Selection(error="not_json"))).put_back == 2
    assert (await bench.replay(Selection(error="not_json"))).put_back == 0
    assert (await bench.replay(Selection(error="refused"))).put_back == 1
    assert await bench.values() == [b"1", b"4", b"3"]
    assert (await bench.replay()).put_back == 2
    assert await bench.values() == [b"1", b"4", b"3", b"0", b"2"]
    assert (await bench.replay()).put_back == 0


async def test_after_a_crash_before_the_mark_is_saved_letters_are_put_back_again(
    bench: DeadLetterBench,
) -> None:
    """Nothing is lost.

    The worker applies the letter once, since its ids are the same.
    """
    await bench.add(0, b"0")
    with pytest.raises(KafkaUnavailable, match="killed"):
        await bench.replay(store=StoreOfKilled(bench.access, f"{bench.topics.group_id}.dlt-replay"))
    assert (await bench.replay()).put_back == 1
    assert await bench.values() == [b"0", b"0"]


async def test_of_two_replays_at_once_one_stops(bench: DeadLetterBench) -> None:
    """The one that saves its mark second stops. A third has nothing to do."""
    await bench.add(0, b"0")
    async with KafkaDeadLetterReader(bench.access) as reader, bench.store() as store:
        ranges = await partition_ranges(reader, store, bench.topics.dead_letters)
        assert (await bench.replay()).put_back == 1

        with pytest.raises(AnotherReplay):
            await bench.replay_of(reader, store).run(ranges)

    assert (await bench.replay()).put_back == 0


async def test_a_letter_with_a_forged_origin_is_not_put_back(
    bench: DeadLetterBench,
) -> None:
    """It is written neither to the other inbound topic, nor to the results, nor to any other topic."""
    for number, topic in enumerate((bench.topics.requested, bench.topics.results, "elsewhere")):
        await bench.add(number, forged=[("dlt-topic", topic.encode())])

    await bench.add(3, b"genuine")
    *stayed, sums = await bench.lines("replay")
    why = f"its dlt-topic is not {bench.topics.submitted}"

    assert sums == {"put_back": 1, "passed_over": {why: 3}}
    assert [line["passed_over"] for line in stayed] == [why] * 3
    assert await bench.values() == [b"genuine"]


async def test_a_letter_that_comes_again_and_again_is_passed_over(
    bench: DeadLetterBench,
) -> None:
    """A loop ends by itself, and ``--max-attempts`` lets the letter through."""
    await bench.add(0, forged=[("dlt-attempts", b"5")])
    code, output, _ = await bench.command("replay")
    assert code == 0
    place = f"{bench.topics.dead_letters[1]}/0/0"
    assert output.splitlines()[:2] == [
        f"passed over {place}: dead-lettered 5 times",
        "put back: 0",
    ]
    assert (await bench.lines("replay", "--max-attempts", "6"))[-1]["put_back"] == 1


async def test_a_letter_too_large_for_its_topic_does_not_stop_the_replay(
    bench: DeadLetterBench,
) -> None:
    """Dead-letter topics take larger records than inbound topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.access.bootstrap_servers)
    await admin.start()
    larger = {"max.message.bytes": str(MAX_DEAD_LETTER_BYTES)}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, bench.topics.dead_letters[1], configs=larger)])
    await admin.close()

    async def is_added() -> bool:
        try:
            await bench.add(0, b"x" * 2_000_000)
        except RecordRefused:
            return False
        return True

    await eventually(is_added, "the topic takes larger records", within_s=30)
    for number in range(1, 20):
        await bench.add(number, b"%d" % number)

    report = await bench.replay()

    assert (report.put_back, dict(report.passed_over)) == (
        19,
        {"larger than its topic allows": 1},
    )
    assert set(await bench.values()) == {b"%d" % number for number in range(1, 20)}


async def test_records_of_an_aborted_transaction_are_skipped(
    bench: DeadLetterBench,
) -> None:
    """Offsets without a record do not hold the mark back, even at the end."""
    topic = bench.topics.dead_letters[1]
    servers = bench.access.bootstrap_servers
    await bench.add(0, b"0")
    async with AIOKafkaProducer(bootstrap_servers=servers, transactional_id=uuid.uuid4().hex) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted")
        await producer.abort_transaction()

    assert (await bench.replay()).put_back == 1

    async with bench.store() as store:
        assert await store.load(Partition(topic, 0)) == ReplayMark(3, "")

    assert await bench.values() == [b"0"]


async def test_a_letter_is_listed_and_shown_without_its_secrets(
    bench: DeadLetterBench,
) -> None:
    """Neither the table, nor the JSON, nor the whole letter holds a code or an address."""
    value = json.dumps(submission_data(7, code=CODE, email=ADDRESS)).encode()
    await bench.add(0, value, key=signin_id(7).encode(), headers=[("user", ADDRESS.encode())])
    await bench.add(1, f'{{"code": "{CODE}", "email": "{ADDRESS}"'.encode())
    await bench.add(2, CODE.encode("utf-16"))
    topic = bench.topics.dead_letters[1]
    outputs = [
        (await bench.command("list"))[1],
        (await bench.command("list", "--json"))[1],
    ]
    for offset in range(3):
        outputs.append((await bench.command("show", f"{topic}/0/{offset}"))[1])

    outputs.append((await bench.command("show", topic, "0", "0", "--json"))[1])

    assert all(outputs)
    assert not [secret for secret in (CODE, ADDRESS, "lovelace") for output in outputs if secret in output]
    assert all(signin_id(7) in output for output in (*outputs[:3], outputs[-1]))
    assert '{\\"code\\": \\"########\\"' in outputs[3]
    assert "not UTF-8" in outputs[4]


async def test_a_dry_run_lists_what_a_replay_puts_back(bench: DeadLetterBench) -> None:
    """The same filters select the same letters then."""
    for number in range(3):
        await bench.add(number, b"%d" % number, key=signin_id(number).encode())

    only = (
        "--signin-id",
        signin_id(1),
        "--topic",
        bench.topics.submitted,
        "--since",
        "2026-11-23T09:00:00Z",
    )
    [would] = await bench.lines("replay", "--dry-run", *only)

    assert (would["signin_id"], would["would_be_put_back"]) == (signin_id(1), True)
    assert await bench.inbound() == []
    assert await bench.lines("replay", *only) == [{"put_back": 1, "passed_over": {}}]
    assert await bench.values() == [b"1"]


async def test_a_missing_dead_letter_topic_is_an_error(bench: DeadLetterBench) -> None:
    """The command names the topic and exits with 69."""
    bench.topics = replace(bench.topics, requested="no-such-topic")
    code, output, errors = await bench.command("list")
    assert (code, output) == (69, "")
    assert "the topic no-such-topic.dlt is missing" in errors
