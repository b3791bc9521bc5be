"""Dead letters on a real Kafka: put back, remembered, listed and shown."""

import asyncio
import json
import logging
import os
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from consumers.dead_letters.headers import dead_letter_headers
from consumers.dead_letters.letters import DeadLetter, Selection, partition_ranges
from consumers.dead_letters.replay import AnotherReplay, RateLimiter, Replay, ReplayFilter, ReplayReport
from consumers.outcomes import Rejected
from consumers.ports import Headers, KafkaUnavailable, Partition, Record, ReplayMark
from deploy.local.places import PROJECT
from deploy.local.servers.backends import Kafka
from deploy.local.topics import Topics
from schemas.dead_letters import DeadLetterError
from signin_worker import command_line
from tests.fakes.dead_letters import FAILED_AT
from tests.fakes.inbound import signin_id, submission_data
from utils.kafka.dead_letters import KafkaDeadLetterReader, KafkaReplayStore
from utils.kafka.producer import MAX_DEAD_LETTER_BYTES, ReliableProducer
from utils.kafka.access import KafkaAccess
from utils.kafka.writers import KafkaDeadLetterWriter, KafkaInboundWriter

CODE, ADDRESS = "90417263", "ada.lovelace@example.com"
ALL = Selection()


class Silent:
    """Fulfils ``ReplayListener``."""

    def passed_over(self, letter: DeadLetter, why: str) -> None:
        """Say nothing."""

    def advanced(self, offsets: int) -> None:
        """Say nothing."""


class Forgetful(KafkaReplayStore):
    """The memory of somebody who is killed before anything is noted."""

    async def save(self, partition: Partition, mark: ReplayMark) -> None:
        """Be gone."""
        raise KafkaUnavailable("killed")


@dataclass
class Office:
    """The dead-letter topics of a test."""

    access: KafkaAccess
    topics: Topics
    producer: ReliableProducer

    async def add(
        self,
        number: int,
        value: bytes | None = b"{",
        *,
        key: bytes | None = None,
        headers: Headers = (),
        error: DeadLetterError = "not_json",
        forged: Headers = (),
        partition: int = 1,
    ) -> Headers:
        """Write a dead letter of submissions as the consumer does; return its headers."""
        record = Record(self.topics.submitted, partition, number, key, value, headers, 1_800_000_000_000)
        own = [*dead_letter_headers(record, Rejected(error, "value: bad"), self.topics.group_id, FAILED_AT), *forged]
        await KafkaDeadLetterWriter(self.producer).write(self.topics.dead_letters[1], key, value, own)
        return own

    async def replay(self, selection: Selection = ALL, memory: KafkaReplayStore | None = None) -> ReplayReport:
        """Put back once."""
        async with KafkaDeadLetterReader(self.access) as source, memory or self.memory() as notes:
            found = await partition_ranges(source, notes, self.topics.dead_letters)
            return await Replay(
                source, notes, KafkaInboundWriter(self.producer), ReplayFilter(selection), Silent(), RateLimiter(1e6)
            ).run(found)

    def memory(self) -> KafkaReplayStore:
        """Return the memory of the commands."""
        return KafkaReplayStore(self.access, f"{self.topics.group_id}.dlt-replay")

    async def inbound(self) -> list[Record]:
        """Return everything on both inbound topics, by partition and offset."""
        servers = self.access.bootstrap_servers
        async with AIOKafkaConsumer(
            self.topics.requested, self.topics.submitted, bootstrap_servers=servers, auto_offset_reset="earliest"
        ) as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            found: list[Record] = []
            async with asyncio.timeout(30):
                while len(found) < sum(ends.values()):
                    batches = await consumer.getmany(timeout_ms=200)
                    found += [
                        Record(each.topic, each.partition, each.offset, each.key, each.value, list(each.headers))
                        for batch in batches.values()
                        for each in batch
                    ]

        return sorted(found, key=lambda record: (record.topic, record.partition, record.offset))

    async def values(self) -> list[bytes | None]:
        """Return the values on the inbound topics."""
        return [record.value for record in await self.inbound()]

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``signin-worker dlt`` in this process; return exit code, output and errors."""
        run = CliRunner(env=self._settings()).invoke
        result = await asyncio.to_thread(run, command_line(), ["dlt", *arguments])
        return result.exit_code, result.stdout, result.stderr

    async def process(self, *arguments: str) -> tuple[int, str, str]:
        """Do the same as a process of its own, as a person does."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "signin_worker", "dlt", *arguments),
            cwd=PROJECT,
            env=os.environ | self._settings(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            output, errors = await process.communicate()

        assert process.returncode is not None

        return process.returncode, output.decode(), errors.decode()

    def _settings(self) -> dict[str, str]:
        return {
            "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": self.access.bootstrap_servers,
            "SIGNIN_KAFKA__GROUP_ID": self.topics.group_id,
            "SIGNIN_KAFKA__REQUESTED_TOPIC": self.topics.requested,
            "SIGNIN_KAFKA__SUBMITTED_TOPIC": self.topics.submitted,
            "SIGNIN_KAFKA__RESULTS_TOPIC": self.topics.results,
            "SIGNIN_LOG__FORMAT": "json",
        }

    async def lines(self, *arguments: str) -> list[dict[str, object]]:
        """Run a command that prints JSON lines and succeeds."""
        code, output, errors = await self.command(*arguments, "--json")
        assert code == 0, errors
        return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
async def office(kafka: Kafka, topics: Topics) -> AsyncIterator[Office]:
    """Give topics without dead letters."""
    access = KafkaAccess(kafka.bootstrap_servers)
    producer = ReliableProducer(access, max_request_bytes=MAX_DEAD_LETTER_BYTES)
    yield Office(access, topics, producer)
    await producer.close()


async def test_the_command_puts_back_byte_for_byte_and_once(office: Office) -> None:
    """Key, value and headers, repeats, nulls and tombstones, where they came from; the second time there is nothing."""
    cases: Sequence[tuple[bytes | None, bytes | None, Headers]] = [
        (b"\xff\x00", b"\xfe{", [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None)]),
        (b"tombstone", None, []),
        (None, b"no key", [("content-type", b"\xff")]),
        (None, None, []),
    ]
    for number, (key, value, headers) in enumerate(cases):
        await office.add(number, value, key=key, headers=headers)

    assert await office.lines("replay") == [{"put_back": 4, "passed_over": {}}]

    found = await office.inbound()

    assert [(record.topic, record.partition) for record in found] == [(office.topics.submitted, 1)] * 4

    for key, value, headers in cases:
        [record] = [each for each in found if (each.key, each.value) == (key, value)]

        assert list(record.headers)[: len(headers)] == list(headers)
        assert dict(record.headers)["dlt-attempts"] == b"1"
        assert len(record.headers) == len(headers) + 9

    assert [line["put_back"] for line in await office.lines("list")] == [True] * 4

    code, output, errors = await office.process("replay")

    assert (code, output) == (0, "put back: 0\n"), errors
    assert len(await office.inbound()) == 4


async def test_what_a_filter_left_out_is_put_back_later(office: Office) -> None:
    """Whatever the order of filters, each goes back once."""
    errors: Sequence[DeadLetterError] = ("schema", "not_json", "schema", "refused", "not_json")
    for number, error in enumerate(errors):
        await office.add(number, b"%d" % number, error=error)

    assert (await office.replay(Selection(error="not_json"))).put_back == 2
    assert (await office.replay(Selection(error="not_json"))).put_back == 0
    assert (await office.replay(Selection(error="refused"))).put_back == 1
    assert await office.values() == [b"1", b"4", b"3"]
    assert (await office.replay()).put_back == 2
    assert await office.values() == [b"1", b"4", b"3", b"0", b"2"]
    assert (await office.replay()).put_back == 0


async def test_after_a_crash_before_the_note_it_is_put_back_again(office: Office) -> None:
    """The ids are the same, so it is applied once: nothing is lost, and that is what counts."""
    await office.add(0, b"0")
    with pytest.raises(KafkaUnavailable, match="killed"):
        group = f"{office.topics.group_id}.dlt-replay"
        await office.replay(memory=Forgetful(office.access, group))
    assert (await office.replay()).put_back == 1
    assert await office.values() == [b"0", b"0"]


async def test_of_two_replays_at_once_one_goes_on(office: Office) -> None:
    """Whoever notes second stops; a third has nothing to do."""
    await office.add(0, b"0")
    async with KafkaDeadLetterReader(office.access) as source, office.memory() as notes:
        found = await partition_ranges(source, notes, office.topics.dead_letters)
        assert (await office.replay()).put_back == 1

        replay = Replay(source, notes, KafkaInboundWriter(office.producer), ReplayFilter(), Silent(), RateLimiter(1e6))

        with pytest.raises(AnotherReplay):
            await replay.run(found)

    assert (await office.replay()).put_back == 0


async def test_a_forged_origin_writes_nowhere(office: Office) -> None:
    """Not on the other inbound topic, not on the results, not on any other."""
    for number, topic in enumerate((office.topics.requested, office.topics.results, "elsewhere")):
        await office.add(number, forged=[("dlt-topic", topic.encode())])

    await office.add(3, b"genuine")
    *stayed, sums = await office.lines("replay")
    why = f"its dlt-topic is not {office.topics.submitted}"

    assert sums == {"put_back": 1, "passed_over": {why: 3}}
    assert [line["passed_over"] for line in stayed] == [why] * 3
    assert await office.values() == [b"genuine"]


async def test_a_letter_that_comes_again_and_again_is_passed_over(office: Office) -> None:
    """A loop ends by itself; who knows better lets it through."""
    await office.add(0, forged=[("dlt-attempts", b"5")])
    code, output, _ = await office.command("replay")
    assert code == 0
    place = f"{office.topics.dead_letters[1]}/0/0"
    assert output.splitlines()[:2] == [f"passed over {place}: dead-lettered 5 times", "put back: 0"]
    assert (await office.lines("replay", "--max-attempts", "6"))[-1]["put_back"] == 1


async def test_a_letter_too_large_for_its_topic_holds_up_no_other(office: Office) -> None:
    """Dead-letter topics take more than inbound ones."""
    admin = AIOKafkaAdminClient(bootstrap_servers=office.access.bootstrap_servers)
    await admin.start()
    larger = {"max.message.bytes": str(MAX_DEAD_LETTER_BYTES)}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, office.topics.dead_letters[1], configs=larger)])
    await admin.close()
    await office.add(0, b"x" * 2_000_000)
    for number in range(1, 20):
        await office.add(number, b"%d" % number)

    tally = await office.replay()

    assert (tally.put_back, dict(tally.passed_over)) == (19, {"larger than its topic allows": 1})
    assert set(await office.values()) == {b"%d" % number for number in range(1, 20)}


async def test_what_no_transaction_committed_is_no_letter(office: Office) -> None:
    """Offsets without a record, at the end too, hold nothing back."""
    topic, servers = office.topics.dead_letters[1], office.access.bootstrap_servers
    await office.add(0, b"0")
    async with AIOKafkaProducer(bootstrap_servers=servers, transactional_id=uuid.uuid4().hex) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted")
        await producer.abort_transaction()

    assert (await office.replay()).put_back == 1

    async with office.memory() as memory:
        assert await memory.load(Partition(topic, 0)) == ReplayMark(3, "")

    assert await office.values() == [b"0"]


async def test_a_letter_is_listed_and_shown_without_its_secrets(office: Office) -> None:
    """Table, JSON and the whole letter: no code and no address in any of them."""
    value = json.dumps(submission_data(7, code=CODE, email=ADDRESS)).encode()
    await office.add(0, value, key=signin_id(7).encode(), headers=[("user", ADDRESS.encode())])
    await office.add(1, f'{{"code": "{CODE}", "email": "{ADDRESS}"'.encode())
    await office.add(2, CODE.encode("utf-16"))
    topic = office.topics.dead_letters[1]
    outputs = [(await office.command("list"))[1], (await office.command("list", "--json"))[1]]
    for offset in range(3):
        outputs.append((await office.command("show", f"{topic}/0/{offset}"))[1])

    outputs.append((await office.command("show", topic, "0", "0", "--json"))[1])

    assert all(outputs)
    assert not [secret for secret in (CODE, ADDRESS, "lovelace") for output in outputs if secret in output]
    assert all(signin_id(7) in output for output in (*outputs[:3], outputs[-1]))
    assert '{\\"code\\": \\"########\\"' in outputs[3]
    assert "not UTF-8" in outputs[4]


async def test_a_dry_run_and_filters_as_commands(office: Office) -> None:
    """What is listed as what would happen is what happens then."""
    for number in range(3):
        await office.add(number, b"%d" % number, key=signin_id(number).encode())

    only = ("--signin-id", signin_id(1), "--topic", office.topics.submitted, "--since", "2026-11-23T09:00:00Z")
    [would] = await office.lines("replay", "--dry-run", *only)

    assert (would["signin_id"], would["would_be_put_back"]) == (signin_id(1), True)
    assert await office.inbound() == []
    assert await office.lines("replay", *only) == [{"put_back": 1, "passed_over": {}}]
    assert await office.values() == [b"1"]


async def test_without_dead_letter_topics_nothing_can_be_said(office: Office) -> None:
    """The command names the topic that is missing, and ends with 69."""
    office.topics = replace(office.topics, requested="no-such-topic")
    code, output, errors = await office.command("list")
    assert (code, output) == (69, "")
    assert "the topic no-such-topic.dlt is missing" in errors
