"""Everything that the demo starts: the servers around the worker, and the worker itself as the real command."""

import asyncio
import os
import secrets
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from deploy.demo.wire import Topics
from deploy.local.backends import Kafka, Temporal, choose_kafka, choose_temporal
from deploy.local.dns_server import DnsServer
from deploy.local.kafka_jars import jars_are_here
from deploy.local.mail_server import MailServer
from deploy.local.places import LOOPBACK, PROJECT, StackError, cache_folder, free_ports
from deploy.local.processes import Child
from deploy.local.siteverify import ACTION, HOSTNAME, SECRET, SiteverifyServer
from deploy.local.temporal import LocalTemporal
from deploy.local.waiting import eventually

LIFETIME_S: Final = 12  # short, so that nobody has to watch the one who waits too long for long
_COOLDOWN_S: Final = 2
_SHORTEST_RESEND_S: Final = 2
_READY_WITHIN_S: Final = 60
_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "COVERAGE_PROCESS_START")


@dataclass
class Stack:
    """What runs, with its addresses."""

    kafka: Kafka
    temporal: Temporal
    topics: Topics
    mail_server: MailServer
    siteverify: SiteverifyServer
    dns_server: DnsServer
    http_port: int
    settings: dict[str, str]
    worker: Child

    @property
    def metrics_url(self) -> str:
        """Where the worker shows its metrics."""
        return f"http://{LOOPBACK}:{self.http_port}/metrics"

    async def end_worker(self) -> None:
        """Send the worker SIGTERM. Raises ``StackError`` if it does not end with 0."""
        code = await asyncio.to_thread(self.worker.end)
        if code != 0:
            raise StackError(f"The worker ended with {code} after SIGTERM. Its last words:\n{self.worker.last_words()}")

    async def start_worker_again(self, say: Callable[[str], None], lifetime_s: int) -> None:
        """Start the worker once more, with another lifetime of codes."""
        self.settings["SIGNIN_OTP__LIFETIME_S"] = str(lifetime_s)
        await _start_worker(self, say)


@asynccontextmanager
async def running_stack(say: Callable[[str], None], *, ui: bool) -> AsyncIterator[Stack]:
    """Start everything, in the order of need; end it in reverse. Raises ``StackError``."""
    async with AsyncExitStack() as exits:
        kafka, temporal = await _start_servers(exits, say, ui=ui)
        shared = not isinstance(temporal, LocalTemporal) or "SIGNIN_TEST_KAFKA" in os.environ
        topics, (http_port,) = Topics.named(shared=shared), free_ports(1)
        mail_server, siteverify, dns_server = MailServer(), SiteverifyServer(), DnsServer()
        for server in (mail_server, siteverify, dns_server):
            await server.start()
            exits.push_async_callback(server.stop)
        worker = Child("worker", grace_s=35)
        exits.push_async_callback(asyncio.to_thread, worker.stop)
        settings = {
            **_settings(topics, http_port),
            "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "SIGNIN_SMTP__HOST": mail_server.host,
            "SIGNIN_SMTP__PORT": str(mail_server.port),
            "SIGNIN_TURNSTILE__URL": siteverify.url,
            "SIGNIN_DNS__NAMESERVERS": dns_server.host,
            "SIGNIN_DNS__PORT": str(dns_server.port),
            "TEMPORAL_ADDRESS": temporal.address,
            "TEMPORAL_NAMESPACE": LocalTemporal.namespace,
        }
        stack = Stack(kafka, temporal, topics, mail_server, siteverify, dns_server, http_port, settings, worker)
        await _create_topics(stack, say)
        await _start_worker(stack, say)
        yield stack


async def _start_servers(exits: AsyncExitStack, say: Callable[[str], None], *, ui: bool) -> tuple[Kafka, Temporal]:
    kafka, temporal = choose_kafka(), choose_temporal(ui=ui)
    exits.push_async_callback(asyncio.to_thread, kafka.stop)
    exits.push_async_callback(asyncio.to_thread, temporal.stop)
    fetching = "" if jars_are_here() else " (the first time: its jars are fetched, 45 MB)"
    say(f"starting Kafka{fetching} and Temporal …")
    started = await asyncio.gather(
        asyncio.to_thread(kafka.start), asyncio.to_thread(temporal.start), return_exceptions=True
    )
    for problem in started:
        if problem is not None:
            raise problem
    say(f"Kafka at {kafka.bootstrap_servers}, Temporal at {temporal.address}")
    return kafka, temporal


def _settings(topics: Topics, http_port: int) -> dict[str, str]:
    return {
        "SIGNIN_ENVIRONMENT": "development",
        "SIGNIN_KAFKA__GROUP_ID": topics.group_id,
        "SIGNIN_KAFKA__REQUESTED_TOPIC": topics.requested,
        "SIGNIN_KAFKA__SUBMITTED_TOPIC": topics.submitted,
        "SIGNIN_KAFKA__RESULTS_TOPIC": topics.results,
        "SIGNIN_TEMPORAL__TASK_QUEUE": topics.task_queue,
        "SIGNIN_SMTP__SECURITY": "none",
        "SIGNIN_SMTP__SENDER": "Sign-in <signin@mail.example>",
        "SIGNIN_TURNSTILE__SECRET": SECRET,
        "SIGNIN_TURNSTILE__HOSTNAMES": HOSTNAME,
        "SIGNIN_TURNSTILE__ACTION": ACTION,
        "SIGNIN_KEYS__ACCOUNT": _key(),
        "SIGNIN_KEYS__CODE": f"demo:{_key()}",
        "SIGNIN_KEYS__PAYLOAD": f"demo:{_key()}",
        "SIGNIN_OTP__LIFETIME_S": str(LIFETIME_S),
        "SIGNIN_OTP__SHORTEST_RESEND_S": str(_SHORTEST_RESEND_S),
        "SIGNIN_LIMITS__SEND_COOLDOWN_S": str(_COOLDOWN_S),
        "SIGNIN_HTTP__HOST": LOOPBACK,
        "SIGNIN_HTTP__PORT": str(http_port),
        "SIGNIN_LOG__FORMAT": "json",
    }


def _key() -> str:
    return b64encode(secrets.token_bytes(32)).decode()


def _environment(stack: Stack) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    own = {
        "PYTHONPATH": str(PROJECT),
        "PYTHONPYCACHEPREFIX": str(cache_folder() / "pycache"),
        "HOME": str(stack.worker.folder),  # no profile of the user's, no file outside the cache
        "TMPDIR": str(stack.worker.folder),
    }
    return {**kept, **own, **stack.settings}


def command(*arguments: str) -> list[str]:
    """Return the worker's command line."""
    return [sys.executable, "-m", "signin_worker", *arguments]


async def _create_topics(stack: Stack, say: Callable[[str], None]) -> None:
    say("signin-worker topics create …")
    process = await asyncio.create_subprocess_exec(
        *command("topics", "create"),
        env=_environment(stack),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise StackError(f"signin-worker topics create ended with {process.returncode}:\n{output.decode()}")


async def _start_worker(stack: Stack, say: Callable[[str], None]) -> None:
    say("signin-worker run …")
    stack.worker.start(command("run"), _environment(stack))
    ready_url = stack.metrics_url.replace("/metrics", "/readyz")

    async def ready() -> bool:
        if not stack.worker.running:
            raise StackError(f"The worker ended while it was starting. Its last words:\n{stack.worker.last_words()}")
        try:
            return (await client.get(ready_url)).is_success
        except httpx.TransportError:
            return False

    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            await eventually(ready, "the worker is ready", within_s=_READY_WITHIN_S)
        except TimeoutError as error:
            words = stack.worker.last_words()
            raise StackError(
                f"The worker was not ready within {_READY_WITHIN_S} s. Its last words:\n{words}"
            ) from error
    say(f"the worker is ready: {stack.metrics_url}")
