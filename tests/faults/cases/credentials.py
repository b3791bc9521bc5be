"""The worker's own credentials for Kafka, replaced while people sign in: certificate, key and password."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from deploy.local.worker import LocalWorker
from tests.faults import gauges
from tests.faults.case import Case
from tests.faults.secured import SecuredListeners, secured_listeners
from tests.faults.stage import Stage

_BROKERS: Final = 3
_VALID_S: Final = 30
_LONG_VALID_S: Final = 86_400


async def certificates_rotated(stage: Stage) -> str:
    """Replace a certificate in time, its key only later. Then let one expire, and replace it afterwards."""
    listeners = await _secured(stage)
    first_expires_at = _write_pair(listeners, _VALID_S)
    worker = await stage.start_worker(**listeners.worker_settings())

    async with stage.crowd.arriving(stage.scale.every_s):
        second_expires_at = await _replace_in_two_steps(stage, listeners, worker)
        await _sleep_until(first_expires_at)
        await listeners.lose_connections()
        in_time_s = await stage.wait_until_recovered()

        await _sleep_until(second_expires_at)
        await _until_refused(stage, listeners, worker)
        _write_pair(listeners, _LONG_VALID_S)
        too_late_s = await stage.wait_until_recovered()

    return (
        f"replaced in time, the key after the certificate: all done {in_time_s:.0f} s after the old one expired; "
        f"replaced too late: {too_late_s:.0f} s after the new one"
    )


async def passwords_rotated(stage: Stage) -> str:
    """Change the password first at the brokers and then in the worker's file, and the other way around."""
    listeners = await _secured(stage)
    _write_pair(listeners, _LONG_VALID_S)
    worker = await stage.start_worker(**listeners.worker_settings())

    async with stage.crowd.arriving(stage.scale.every_s):
        for number in range(stage.scale.rounds):
            await asyncio.sleep(stage.scale.pause_s)
            await listeners.set_password(f"brokers-first-{number}")
            await _until_refused(stage, listeners, worker)
            listeners.password_file.write_text(f"brokers-first-{number}")
            await stage.wait_until_recovered()

            await asyncio.sleep(stage.scale.pause_s)
            listeners.password_file.write_text(f"file-first-{number}")
            await listeners.set_password(f"file-first-{number}")
            await listeners.lose_connections()
            await stage.wait_until_recovered()

    assert await gauges.rebuilds(worker) == 0, "the consumer was rebuilt"
    return f"changed {2 * stage.scale.rounds} times, first at the brokers or first in the file, without a restart"


async def _secured(stage: Stage) -> SecuredListeners:
    listeners = await stage.enter(secured_listeners(stage.servers.kafka))
    listeners.password_file.write_text("first")
    await listeners.set_password("first")
    return listeners


def _write_pair(listeners: SecuredListeners, valid_s: float) -> float:
    """Write a new certificate and its key; return when it expires."""
    certificate, key, expires_at = listeners.issue(valid_s)
    listeners.certfile.write_bytes(certificate)
    listeners.keyfile.write_bytes(key)
    return expires_at


async def _replace_in_two_steps(stage: Stage, listeners: SecuredListeners, worker: LocalWorker) -> float:
    """Write a new certificate, and its key once the worker has seen that they do not match; return when it expires."""
    certificate, key, expires_at = listeners.issue(2 * _VALID_S)

    async def do_not_match() -> bool:
        return await gauges.outdated_credentials(worker) == 1

    async def match() -> bool:
        return await gauges.outdated_credentials(worker) == 0

    listeners.certfile.write_bytes(certificate)
    await stage.eventually(do_not_match, "the worker has read a certificate that does not match its key")
    listeners.keyfile.write_bytes(key)
    await stage.eventually(match, "the worker has read the new pair")

    return expires_at


async def _until_refused(stage: Stage, listeners: SecuredListeners, worker: LocalWorker) -> None:
    """Make the worker log in again, which the brokers refuse, until it says that it is not ready."""
    await listeners.lose_connections()

    async def not_ready() -> bool:
        return not await worker.is_ready()

    await stage.eventually(not_ready, "the worker is not ready")


async def _sleep_until(expires_at: float) -> None:
    await asyncio.sleep(max(0.0, expires_at + 1 - time.time()))


CASES: Final[Sequence[Case]] = (
    Case(
        "certificates-rotated",
        "the worker's certificate replaced in two steps, and one that expired",
        certificates_rotated,
        brokers=_BROKERS,
    ),
    Case("passwords-rotated", "the worker's password for Kafka changed", passwords_rotated, brokers=_BROKERS),
)
