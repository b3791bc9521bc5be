"""The command ``signin-worker codec-server``: lets Temporal's own tools read payloads."""

import logging

import typer

from utils.cli.terminal import read_wiring, run_command
from utils.endpoints import serving
from utils.process import stop_on_signals

logger = logging.getLogger(__name__)


def codec_server(context: typer.Context) -> None:
    """Decrypt payloads for Temporal's web UI and command line, for callers that have the token."""
    wiring = read_wiring(context, "SIGNIN_KEYS__PAYLOAD", "SIGNIN_CODEC_SERVER__")
    settings = wiring.settings.codec_server

    async def until_signal() -> None:
        stop = stop_on_signals()
        async with serving(wiring.codec_app(), settings.host, settings.port):
            logger.info("started", extra={"role": "codec-server"})
            await stop.wait()

    run_command(until_signal(), listening="SIGNIN_CODEC_SERVER")
