"""Records the histories of the version in pyproject.toml (``make histories``), until that is released.

Those of other versions stay.
"""

import asyncio
import json
import logging
import os
import shutil
import socket
import sys
import tomllib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from deploy.local.places import PROJECT
from deploy.local.processes import executable
from deploy.local.servers.temporal import LocalTemporal
from schemas.policy import Policy
from tests.fakes.stage import Stage
from tests.histories.digests import FOLDER, SUMS, digests, is_released
from tests.histories.plays import PLAYS, UNHURRIED_PLAYS, Play, Sleep
from utils.temporal.namespace import create_namespace

_PLAY_WITHIN_S: Final = 120
_REVEALING_MEMBERS: Final = ("identity", "stackTrace")


def main() -> None:
    """Run every play and write the histories that Temporal keeps of it."""
    logging.disable()  # failures are part of the plays

    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    if is_released(version):
        sys.exit(f"{version} is released: what it recorded never changes. Set the next version in pyproject.toml.")

    folder = FOLDER / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    asyncio.run(_record(folder))
    (folder / SUMS).write_text(digests(folder))


async def _record(folder: Path) -> None:
    for play, policy in PLAYS:  # each on a server of its own, since its clock runs ahead
        async with await WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=str(executable("temporal-test-server"))
        ) as environment:
            address = environment.client.service_client.config.target_host
            await _run_play(play, policy, address, environment.get_current_time, environment.sleep, folder)

    server = LocalTemporal()
    await asyncio.to_thread(server.start)

    try:
        await create_namespace(await Client.connect(server.address), timedelta(days=1))
        for play, policy in UNHURRIED_PLAYS:
            await _run_play(play, policy, server.address, _now, asyncio.sleep, folder)
    finally:
        await asyncio.to_thread(server.stop)


async def _run_play(
    play: Play,
    policy: Policy,
    address: str,
    now: Callable[[], Awaitable[datetime]],
    sleep: Sleep,
    folder: Path,
) -> None:
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    async with asyncio.timeout(_PLAY_WITHIN_S), Stage(client, now, policy).working() as stage:
        for recording in await play(stage, sleep):
            handle = client.get_workflow_handle(recording.workflow_id, run_id=recording.run_id)
            history = await handle.fetch_history()

            data = {
                "workflow_id": recording.workflow_id,
                "history": _anonymous(history.to_json_dict()),
            }
            path = folder / f"{recording.name}.json"
            path.write_text(json.dumps(data, sort_keys=True, separators=(",", ":")) + "\n")
            print(f"{path.name}: {len(history.events)} events")


def _anonymous(data: Any) -> Any:
    """Remove what reveals where it was recorded: process ids, host names, paths."""
    if isinstance(data, dict):
        return {name: _anonymous(value) for name, value in data.items() if name not in _REVEALING_MEMBERS}
    if isinstance(data, str):
        return data.replace(f"{os.getpid()}@{socket.gethostname()}", "worker")
    return [_anonymous(item) for item in data] if isinstance(data, list) else data


async def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main()
