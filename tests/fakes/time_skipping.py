"""Temporal's time-skipping test server."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil  # type: ignore[import-untyped]  # no stubs among the locked packages
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from deploy.local.places import new_run_folder
from deploy.local.processes import executable


@asynccontextmanager
async def time_skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """Run a server for the block alone: its clock runs ahead and must not affect anybody else."""
    program = str(executable("temporal-test-server"))
    folder = new_run_folder("time-skipping")
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=program,
        test_server_extra_args=[f"-Djava.io.tmpdir={folder}"],  # it unpacks a library there
        data_converter=pydantic_data_converter,
    )

    try:
        yield environment
    finally:
        for child in psutil.Process().children():
            if child.cmdline()[:1] == [program]:
                child.kill()  # it has nothing to save, and a graceful stop takes 1.5 s
        await environment.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


async def unhurried_client(environment: WorkflowEnvironment) -> Client:
    """Return a client that lets no time pass while it waits for a result.

    The environment's own client skips time, also to timeouts of activities that have ended, and
    so by years.
    """
    address = environment.client.service_client.config.target_host
    return await Client.connect(address, data_converter=pydantic_data_converter)
