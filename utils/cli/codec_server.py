"""The command ``signin-worker codec-server``: lets Temporal's own tools read payloads."""

import asyncio
import logging

import typer

from utils.cli.terminal import read_wiring, run_until_signal
from utils.endpoints import serving

logger = logging.getLogger(__name__)


def codec_server(context: typer.Context) -> None:
    """Decrypt payloads for Temporal's web UI and command line, for callers that have the token."""
    wiring = read_wiring(context, "SIGNIN_KEYS__PAYLOAD", "SIGNIN_CODEC_SERVER__")
    settings = wiring.settings.codec_server

    async def serve(stop: asyncio.Event) -> None:
        async with serving(wiring.codec_app(), settings.host, settings.port):
            logger.info("started", extra={"role": "codec-server"})
            await stop.wait()

    run_until_signal(serve, listening="SIGNIN_CODEC_SERVER")
