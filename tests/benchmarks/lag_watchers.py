"""Compares the worker's reported lag with the broker, kcat and Burrow for the same group, once per second.

    python -m tests.benchmarks.lag_watchers [--burrow COMMAND] [--kcat COMMAND] [--json FILE]

kcat only reports the end offsets of partitions; the committed offsets come from the broker. Burrow must support Kafka 4
(version 1.2, as in Debian 12, uses a protocol that Kafka no longer supports). Without ``--burrow`` it is left out.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deploy.local.places import free_ports
from tests.faults import gauges
from tests.faults.evidence import end_offsets
from tests.faults.people import Person
from tests.faults.programme import FULL
from tests.faults.servers import running_servers
from tests.faults.stage import Stage, open_stage

_PHASE_S: Final = 40
_REST_S: Final = 10
_OBSERVE_EVERY_S: Final = 1.0
_TOLERANCE: Final = 2  # observations; a commit is at most a second old, and so is the lag that the worker reports
_PEOPLE_PER_S: Final = 100
_SLOW_S: Final = 0.2
_BURROW: Final = """\
[general]
pidfile = "{folder}/pid"
[logging]
filename = "{folder}/log"
level = "warn"
[client-profile.own]
client-id = "burrow"
kafka-version = "3.6.0"
[cluster.local]
class-name = "kafka"
servers = ["{servers}"]
client-profile = "own"
topic-refresh = 5
offset-refresh = 1
[consumer.local]
class-name = "kafka"
cluster = "local"
servers = ["{servers}"]
client-profile = "own"
offsets-topic = "__consumer_offsets"
start-latest = false
[httpserver.default]
address = "127.0.0.1:{port}"
[storage.default]
class-name = "inmemory"
workers = 2
intervals = 15
min-distance = 1
"""


@dataclass
class Observation:
    """The lag that each watcher reported at one moment: records over all partitions. None if it did not know."""

    phase: str
    at_s: float
    worker: int
    broker: int
    kcat: int | None
    burrow: int | None


class Watchers:
    """The watchers of a stage's consumer group."""

    def __init__(self, stage: Stage, kcat: str, burrow_url: str | None) -> None:
        self._stage = stage
        self._kcat = kcat
        self._burrow_url = burrow_url
        self._begun = time.monotonic()
        self.observations: list[Observation] = []

    async def observe(self, phase: str) -> None:
        """Ask all watchers at once."""
        (worker,) = self._stage.workers
        by_worker, committed, ends, kcat_ends, burrow = await asyncio.gather(
            gauges.lag(worker),
            self._stage.committed_offsets(),
            self._ends(),
            self._ends_by_kcat(),
            self._burrow(),
        )

        at_s = time.monotonic() - self._begun
        lag = sum(end - committed.get(place, 0) for place, end in ends.items())
        by_kcat = sum(end - committed.get(place, 0) for place, end in kcat_ends.items()) if kcat_ends else None
        self.observations.append(Observation(phase, at_s, sum(by_worker.values()), lag, by_kcat, burrow))

    async def _ends(self) -> Mapping[tuple[str, int], int]:
        return await end_offsets(self._stage.servers.kafka.bootstrap_servers, self._stage.topics)

    async def _ends_by_kcat(self) -> Mapping[tuple[str, int], int]:
        places = [f"{topic}:{number}:-1" for topic, number in await self._ends()]
        options = [part for place in places for part in ("-t", place)]
        kcat = await asyncio.create_subprocess_exec(
            *(self._kcat, "-b", self._stage.servers.kafka.bootstrap_servers, "-Q", *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await kcat.communicate()
        lines = [line.split() for line in output.decode().splitlines()]  # topic [0] offset 17

        return {(topic, int(number.strip("[]"))): int(offset) for topic, number, _, offset in lines}

    async def _burrow(self) -> int | None:
        if self._burrow_url is None:
            return None
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self._burrow_url}/v3/kafka/local/consumer/{self._stage.topics.group_id}/lag")
        return int(answer.json()["status"]["totallag"]) if answer.is_success else None


async def main() -> int:
    """Run the phases and print the table. Return 0 if the worker's lag agreed with the broker's, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.lag_watchers", description=__doc__)
    parser.add_argument("--burrow", metavar="COMMAND", help="a Burrow that supports Kafka 4")
    parser.add_argument("--kcat", metavar="COMMAND", default="kcat")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all observations to this file")
    options = parser.parse_args()

    async with (
        running_servers() as servers,
        open_stage(servers, FULL, {"SIGNIN_OTP__LIFETIME_S": "30"}) as stage,
    ):
        await stage.start_worker()
        async with _burrow(options.burrow, servers.kafka.bootstrap_servers) as url:
            watchers = Watchers(stage, options.kcat, url)
            with Progress(transient=True) as progress:
                task = progress.add_task("watching", total=2 * (_PHASE_S + _REST_S))
                await _phases(watchers, stage, lambda: progress.advance(task))

    if options.json:
        options.json.write_text(
            json.dumps([asdict(observation) for observation in watchers.observations], indent=1) + "\n"
        )

    console = Console()
    console.print(_table(watchers.observations))

    return 0 if all(_agrees(watchers.observations, number) for number in range(len(watchers.observations))) else 1


async def _phases(watchers: Watchers, stage: Stage, advance: Callable[[], None]) -> None:
    for phase, delay_s in (("under load", 0.0), ("Temporal slow", _SLOW_S)):
        stage.servers.temporal_proxy.delay_s = delay_s
        sending = asyncio.create_task(_send_requests(stage))
        until = time.monotonic() + _PHASE_S

        while time.monotonic() < until:
            await watchers.observe(phase)
            await asyncio.sleep(_OBSERVE_EVERY_S)
            advance()

        sending.cancel()
        stage.servers.temporal_proxy.delay_s = 0
        await stage.wait_until_recovered()
        await asyncio.sleep(3)  # Burrow reads end offsets once a second, and commits as they come

        for _ in range(_REST_S):
            await watchers.observe("at rest")
            await asyncio.sleep(_OBSERVE_EVERY_S)
            advance()


async def _send_requests(stage: Stage) -> None:
    while True:
        people = [stage.new_person() for _ in range(_PEOPLE_PER_S)]
        await asyncio.gather(asyncio.sleep(1), *(_request_as_bot(person) for person in people))


async def _request_as_bot(person: Person) -> None:
    await person.asks_for_code(token="made-up-by-a-bot")


@asynccontextmanager
async def _burrow(command: str | None, servers: str) -> AsyncIterator[str | None]:
    """Run Burrow in its own folder; yield its URL."""
    if command is None:
        yield None
        return

    (port,) = free_ports(1)
    with TemporaryDirectory() as folder:
        Path(folder, "burrow.toml").write_text(_BURROW.format(folder=folder, servers=servers, port=port))
        running = await asyncio.create_subprocess_exec(
            *(command, "--config-dir", folder),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            await running.wait()


def _agrees(observations: list[Observation], number: int) -> bool:
    """Tell whether the worker's lag lies within the range of the broker's own lag around that moment."""
    observation = observations[number]
    if observation.phase == "at rest":
        return observation.worker == observation.broker
    around = [one.broker for one in observations[max(0, number - _TOLERANCE) : number + _TOLERANCE + 1]]
    return min(around) - _PEOPLE_PER_S <= observation.worker <= max(around) + _PEOPLE_PER_S


def _table(observations: list[Observation]) -> Table:
    table = Table(title="Lag in records, against the broker's own", caption="differences: median, largest")
    for heading in (
        "phase",
        "observations",
        "the broker's, median",
        "largest",
        "worker",
        "kcat",
        "Burrow",
        "worker agrees",
    ):
        table.add_column(heading, justify="right")

    for phase in dict.fromkeys(observation.phase for observation in observations):
        own = [observation for observation in observations if observation.phase == phase]
        agreed = sum(
            _agrees(observations, number)
            for number, observation in enumerate(observations)
            if observation.phase == phase
        )
        others = (_difference(own, watcher) for watcher in ("worker", "kcat", "burrow"))
        broker = [observation.broker for observation in own]
        row = (
            phase,
            len(own),
            f"{median(broker):g}",
            max(broker),
            *others,
            f"{agreed} of {len(own)}",
        )
        table.add_row(*map(str, row))

    return table


def _difference(observations: list[Observation], watcher: str) -> str:
    differences = [abs(lag - one.broker) for one in observations if (lag := getattr(one, watcher)) is not None]
    return f"{median(differences):g}, {max(differences)}" if differences else "–"


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
