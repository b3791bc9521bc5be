"""What ``--web`` adds: the example's sign-in page as a process of its own, and the mail catcher."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from deploy.demo.mail_page import mail_page
from deploy.demo.stack import Say, Stack
from deploy.local.places import LOOPBACK, PROJECT, cache_folder, free_ports
from deploy.local.processes import Child
from deploy.local.served import ServedApp

EXAMPLE: Final = PROJECT / "examples" / "web-login"
_READY_WITHIN_S: Final = 30
_TEST_TOKEN: Final = "pass.{signin_id}.{random}"  # what deploy/local/servers/siteverify.py lets pass
_INHERITED_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "COVERAGE_PROCESS_START")


@dataclass(frozen=True)
class Web:
    """Where a browser finds the sign-in page and the mails."""

    page_url: str
    mail_url: str


@asynccontextmanager
async def running_web(stack: Stack, say: Say) -> AsyncIterator[Web]:
    """Start both, and stop them at the end. Raises ``StackError``."""
    page = Child("web-login", grace_s=10)
    mails = ServedApp(mail_page(stack.mail_server))
    (port,) = free_ports(1)
    web_url = f"http://localhost:{port}"

    try:
        await mails.start()
        say("python -m web_login …")
        page.start([sys.executable, "-m", "web_login"], _environment(stack, web_url, port))
        await asyncio.to_thread(page.wait_until, lambda: _answers(port), within_s=_READY_WITHIN_S)
        yield Web(web_url, f"http://localhost:{mails.port}")
    finally:
        await asyncio.to_thread(page.stop)
        await mails.stop()


def _answers(port: int) -> bool:
    try:
        health = httpx.get(f"http://{LOOPBACK}:{port}/healthz", trust_env=False)
    except httpx.TransportError:
        return False
    return health.is_success


def _environment(stack: Stack, url: str, port: int) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ}
    settings = {
        "WEB_LOGIN_ORIGIN": url,
        "WEB_LOGIN_PORT": str(port),
        "WEB_LOGIN_BOOTSTRAP_SERVERS": stack.kafka.bootstrap_servers,
        "WEB_LOGIN_REQUESTED_TOPIC": stack.topics.requested,
        "WEB_LOGIN_SUBMITTED_TOPIC": stack.topics.submitted,
        "WEB_LOGIN_RESULTS_TOPIC": stack.topics.results,
        "WEB_LOGIN_TEST_TOKEN": _TEST_TOKEN,
        "WEB_LOGIN_RESEND_AFTER_S": "15",
        "WEB_LOGIN_LIFETIME_S": stack.worker.settings["SIGNIN_OTP__LIFETIME_S"],
    }
    places = {"PYTHONPATH": str(EXAMPLE), "PYTHONPYCACHEPREFIX": str(cache_folder() / "pycache")}
    return {**kept, **settings, **places}
