"""Temporal's time-skipping test server, for as long as a block runs."""

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
    """Start a server of its own: its clock runs ahead and must not reach anybody else."""
    program, folder = str(executable("temporal-test-server")), new_run_folder("time-skipping")
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
                child.kill()  # it has nothing to save, and takes 1.5 s to leave when asked politely
        await environment.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


async def unhurried_client(environment: WorkflowEnvironment) -> Client:
    """Return a client of the time-skipping server that lets no time pass while it waits for a result.

    The environment's own does, and the server then also skips to timeouts of activities that have ended: by years.
    """
    address = environment.client.service_client.config.target_host
    return await Client.connect(address, data_converter=pydantic_data_converter)
