"""Dead-letter topics on a real Kafka, and the commands and replays that work on them."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from typer.testing import CliRunner

from consumers.dead_letters.headers import dead_letter_headers
from consumers.dead_letters.letters import DeadLetter, Selection, partition_ranges
from consumers.dead_letters.replay import (
    RateLimiter,
    Replay,
    ReplayFilter,
    ReplayReport,
)
from consumers.outcomes import Rejected
from consumers.ports import DeadLetterReader, Headers, Record, ReplayStore
from deploy.local.places import PROJECT
from deploy.local.topics import Topics
from schemas.dead_letters import DeadLetterError
from signin_worker import command_line
from tests.fakes.dead_letters import FAILED_AT
from utils.kafka.access import KafkaAccess
from utils.kafka.dead_letters import KafkaDeadLetterReader, KafkaReplayStore
from utils.kafka.producer import ReliableProducer
from utils.kafka.writers import KafkaDeadLetterWriter, KafkaInboundWriter

ALL = Selection()


class SilentListener:
    """Fulfils ``ReplayListener``."""

    def passed_over(self, letter: DeadLetter, reason: str) -> None:
        """Ignore it."""

    def advanced(self, offsets: int) -> None:
        """Ignore it."""


@dataclass
class DeadLetterBench:
    """The topics of one test."""

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
    ) -> None:
        """Write the dead letter of a submission as the consumer does, with ``forged`` headers behind its own."""
        record = Record(
            self.topics.submitted,
            partition,
            number,
            key,
            value,
            headers,
            1_800_000_000_000,
        )
        rejected = Rejected(error, "value: bad")
        written = dead_letter_headers(record, rejected, self.topics.group_id, FAILED_AT)

        writer = KafkaDeadLetterWriter(self.producer)
        await writer.write(self.topics.dead_letters[1], key, value, [*written, *forged])

    async def replay(self, selection: Selection = ALL, store: KafkaReplayStore | None = None) -> ReplayReport:
        """Replay once."""
        async with (
            KafkaDeadLetterReader(self.access) as reader,
            store or self.store() as opened,
        ):
            ranges = await partition_ranges(reader, opened, self.topics.dead_letters)
            return await self.replay_of(reader, opened, selection).run(ranges)

    def replay_of(self, reader: DeadLetterReader, store: ReplayStore, selection: Selection = ALL) -> Replay:
        """Return a replay that has not begun."""
        inbound = KafkaInboundWriter(self.producer)
        return Replay(
            reader,
            store,
            inbound,
            ReplayFilter(selection),
            SilentListener(),
            RateLimiter(1e6),
        )

    def store(self) -> KafkaReplayStore:
        """Return the store that the commands use."""
        return KafkaReplayStore(self.access, f"{self.topics.group_id}.dlt-replay")

    async def inbound(self) -> list[Record]:
        """Return every record of both inbound topics, by partition and offset."""
        inbound = (self.topics.requested, self.topics.submitted)
        servers = self.access.bootstrap_servers
        records: list[Record] = []

        async with AIOKafkaConsumer(*inbound, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            async with asyncio.timeout(30):
                while len(records) < sum(ends.values()):
                    batches = await consumer.getmany(timeout_ms=200)
                    records += [
                        Record(
                            each.topic,
                            each.partition,
                            each.offset,
                            each.key,
                            each.value,
                            list(each.headers),
                        )
                        for batch in batches.values()
                        for each in batch
                    ]

        return sorted(records, key=lambda record: (record.topic, record.partition, record.offset))

    async def values(self) -> list[bytes | None]:
        """Return the values on the inbound topics."""
        return [record.value for record in await self.inbound()]

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``signin-worker dlt`` in this process; return exit code, output and errors."""
        run = CliRunner(env=self._settings()).invoke
        result = await asyncio.to_thread(run, command_line(), ["dlt", *arguments])
        return result.exit_code, result.stdout, result.stderr

    async def lines(self, *arguments: str) -> list[dict[str, object]]:
        """Run a command that succeeds; return the JSON lines it prints."""
        code, output, errors = await self.command(*arguments, "--json")
        assert code == 0, errors
        return [json.loads(line) for line in output.splitlines()]

    async def process(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``signin-worker dlt`` in a process of its own, as a person does."""
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
