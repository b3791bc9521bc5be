"""The codec server decrypts payloads for Temporal's own command line."""

import asyncio
import base64
import os
import uuid

import pytest

from deploy.local.places import LOOPBACK
from deploy.local.processes import executable
from deploy.local.servers.backends import Temporal
from deploy.local.servers.temporal import LocalTemporal
from utils.endpoints import serving
from utils.temporal.client import connect
from utils.temporal.codec_server import codec_app
from utils.temporal.payload_codec import EncryptionCodec

TOKEN = "t" * 32
KEYS = {"key": bytes(32)}
ADDRESS = "ada.lovelace@example.com"


async def temporal_cli(*arguments: str) -> str:
    """Run Temporal's command line; return all that it prints."""
    process = await asyncio.create_subprocess_exec(
        str(executable("temporal")),
        *arguments,
        env={**os.environ, "HOME": "/nonexistent"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode()


@pytest.mark.parametrize(("auth", "readable"), [(f"Bearer {TOKEN}", True), ("Bearer wrong", False), (None, False)])
async def test_a_history_is_decrypted_only_with_the_token(temporal: Temporal, auth: str | None, readable: bool) -> None:
    """Without the token, or without the codec server, payloads stay encrypted as they are on the server."""
    environ = {"TEMPORAL_ADDRESS": temporal.address, "TEMPORAL_NAMESPACE": LocalTemporal.namespace}
    client = await connect(KEYS, environ=environ)
    started = await client.start_workflow("nobody", ADDRESS, id=uuid.uuid4().hex, task_queue="nobody-polls")
    show = ("workflow", "show", "--workflow-id", started.id, "--address", temporal.address, "--output", "json")
    async with serving(codec_app(EncryptionCodec(KEYS), TOKEN), LOOPBACK, 0) as port:
        codec = ("--codec-endpoint", f"http://{LOOPBACK}:{port}", "--codec-auth", auth) if auth else ()
        output = await temporal_cli(*show, *codec)

    assert (_shown(f'"{ADDRESS}"') in output) == readable
    assert (_shown("binary/encrypted") in output) == (auth is None)

    await started.terminate()


def _shown(text: str) -> str:
    """Return a text as the command line shows what stands in payloads: in base64."""
    return base64.b64encode(text.encode()).decode()
