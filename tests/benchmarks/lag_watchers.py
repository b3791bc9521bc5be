"""The lag that the worker shows, beside what the broker, kcat and Burrow say of the same group, second by second.

    python -m tests.benchmarks.lag_watchers [--burrow COMMAND] [--kcat COMMAND] [--json FILE]

kcat tells the ends of partitions only; the committed offsets that they are compared with are the broker's. Burrow has
to be one that knows Kafka 4 (1.2, as in Debian 12, speaks a protocol that Kafka has given up); without the option it is
left out.
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
_LOOK_EVERY_S: Final = 1.0
_LOOKS_BACK: Final = 2  # a commit is a second old at most, and so is what the worker shows
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
class Look:
    """What each watcher said at one moment: records that wait, over all partitions. None: it did not know."""

    phase: str
    at_s: float
    worker: int
    broker: int
    kcat: int | None
    burrow: int | None


class Watchers:
    """Everybody who watches the group of a stage."""

    def __init__(self, scene: Stage, kcat: str, burrow_url: str | None) -> None:
        self._scene = scene
        self._kcat = kcat
        self._burrow_url = burrow_url
        self._begun = time.monotonic()
        self.looks: list[Look] = []

    async def look(self, phase: str) -> Look:
        """Ask all of them at once."""
        (worker,) = self._scene.workers
        said, known, wanted, kcat_ends, burrow = await asyncio.gather(
            gauges.lag(worker), self._scene.committed_offsets(), self._ends(), self._ends_by_kcat(), self._burrow()
        )
        lag = sum(end - known.get(place, 0) for place, end in wanted.items())
        by_kcat = sum(end - known.get(place, 0) for place, end in kcat_ends.items()) if kcat_ends else None
        look = Look(phase, time.monotonic() - self._begun, sum(said.values()), lag, by_kcat, burrow)
        self.looks.append(look)

        return look

    async def _ends(self) -> Mapping[tuple[str, int], int]:
        return await end_offsets(self._scene.servers.kafka.bootstrap_servers, self._scene.topics)

    async def _ends_by_kcat(self) -> Mapping[tuple[str, int], int]:
        places = [f"{topic}:{number}:-1" for topic, number in await self._ends()]
        wanted = [part for place in places for part in ("-t", place)]
        asked = await asyncio.create_subprocess_exec(
            *(self._kcat, "-b", self._scene.servers.kafka.bootstrap_servers, "-Q", *wanted),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        lines = (await asked.communicate())[0].decode().splitlines()
        told = [line.split() for line in lines]  # topic [0] offset 17

        return {(topic, int(number.strip("[]"))): int(offset) for topic, number, _, offset in told}

    async def _burrow(self) -> int | None:
        if self._burrow_url is None:
            return None
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self._burrow_url}/v3/kafka/local/consumer/{self._scene.topics.group_id}/lag")
        return int(answer.json()["status"]["totallag"]) if answer.is_success else None


async def main() -> int:
    """Run the phases and show the table. 0: at rest all said the same, and under load the worker was near."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.lag_watchers", description=__doc__)
    parser.add_argument("--burrow", metavar="COMMAND", help="a Burrow that knows Kafka 4")
    parser.add_argument("--kcat", metavar="COMMAND", default="kcat")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write down every look")
    options = parser.parse_args()

    async with running_servers() as servers, open_stage(servers, FULL, {"SIGNIN_OTP__LIFETIME_S": "30"}) as scene:
        await scene.start_worker()
        async with _burrow(options.burrow, servers.kafka.bootstrap_servers) as url:
            watchers = Watchers(scene, options.kcat, url)
            with Progress(transient=True) as progress:
                task = progress.add_task("watching", total=2 * (_PHASE_S + _REST_S))
                await _phases(watchers, scene, lambda: progress.advance(task))

    if options.json:
        options.json.write_text(json.dumps([asdict(look) for look in watchers.looks], indent=1) + "\n")

    console = Console()
    console.print(_table(watchers.looks))

    return 0 if all(_agrees(watchers.looks, number) for number in range(len(watchers.looks))) else 1


async def _phases(watchers: Watchers, scene: Stage, advance: Callable[[], None]) -> None:
    for phase, delay_s in (("under load", 0.0), ("Temporal slow", _SLOW_S)):
        scene.servers.temporal_proxy.delay_s = delay_s
        sending = asyncio.create_task(_send(scene))
        until = time.monotonic() + _PHASE_S

        while time.monotonic() < until:
            await watchers.look(phase)
            await asyncio.sleep(_LOOK_EVERY_S)
            advance()

        sending.cancel()
        scene.servers.temporal_proxy.delay_s = 0
        await scene.wait_until_recovered()
        await asyncio.sleep(3)  # Burrow asks for ends once a second, and hears of commits as they come

        for _ in range(_REST_S):
            await watchers.look("at rest")
            await asyncio.sleep(_LOOK_EVERY_S)
            advance()


async def _send(scene: Stage) -> None:
    while True:
        people = [scene.new_person() for _ in range(_PEOPLE_PER_S)]
        await asyncio.gather(asyncio.sleep(1), *(_bot(person) for person in people))


async def _bot(person: Person) -> None:
    await person.asks_for_code(token="made-up-by-a-bot")


@asynccontextmanager
async def _burrow(command: str | None, servers: str) -> AsyncIterator[str | None]:
    """Run Burrow with a folder of its own; give where it answers."""
    if command is None:
        yield None
        return

    (port,) = free_ports(1)
    with TemporaryDirectory() as folder:
        Path(folder, "burrow.toml").write_text(_BURROW.format(folder=folder, servers=servers, port=port))
        running = await asyncio.create_subprocess_exec(
            *(command, "--config-dir", folder), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
            await running.wait()


def _agrees(looks: list[Look], number: int) -> bool:
    """Tell whether what the worker said lies within what the broker's own lag was around that moment."""
    look = looks[number]
    if look.phase == "at rest":
        return look.worker == look.broker
    around = [one.broker for one in looks[max(0, number - _LOOKS_BACK) : number + _LOOKS_BACK + 1]]
    return min(around) - _PEOPLE_PER_S <= look.worker <= max(around) + _PEOPLE_PER_S


def _table(looks: list[Look]) -> Table:
    table = Table(title="Lag in records, against the broker's own", caption="differences: median, largest")
    for heading in ("phase", "looks", "the broker's, median", "largest", "worker", "kcat", "Burrow", "worker agrees"):
        table.add_column(heading, justify="right")

    for phase in dict.fromkeys(look.phase for look in looks):
        own = [look for look in looks if look.phase == phase]
        agreed = sum(_agrees(looks, number) for number, look in enumerate(looks) if look.phase == phase)
        others = (_apart(own, watcher) for watcher in ("worker", "kcat", "burrow"))
        broker = [look.broker for look in own]
        row = (phase, len(own), f"{median(broker):g}", max(broker), *others, f"{agreed} of {len(own)}")
        table.add_row(*map(str, row))

    return table


def _apart(looks: list[Look], watcher: str) -> str:
    apart = [abs(said - look.broker) for look in looks if (said := getattr(look, watcher)) is not None]
    return f"{median(apart):g}, {max(apart)}" if apart else "–"


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
