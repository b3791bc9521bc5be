"""What an attacker can do: emit events as anybody at any rate, read the attacker's own mails, receive results."""

import asyncio
import contextlib
import json
import secrets
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from activities.addresses import parse_address
from deploy.local.events import request_event
from deploy.local.servers.mail_server import ReceivedMail
from deploy.local.worker import LocalWorker
from schemas.policy import Policy
from tests.faults.evidence import read_results
from tests.faults.ledger import Request, ResultRecord
from tests.faults.people import mistyped
from tests.faults.servers import Servers
from tests.faults.stage import Scale, Stage, open_stage
from tests.faults.upstream import Headers, SignInEnded, new_signin_id
from utils.settings.loading import load_settings

_PATIENCE_S: Final = 600.0
_AT_ONCE: Final = 250
_DOMAIN: Final = "ok.example"
_BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_CLIENT: Final = {"ip": "203.0.113.7", "user_agent": _BROWSER, "locale": "en-GB"}


@dataclass(frozen=True)
class Size:
    """The size of a run: the whole programme, or what fits into ``make test``."""

    flood: int = 1_000
    junk: int = 10_000
    others: int = 20
    challenge_s: int = 30
    days: int = 6


class Scene:
    """One worker with its topics, and the attacker's means. All addresses and tokens contain a mark to search for."""

    def __init__(self, stage: Stage, worker: LocalWorker, size: Size) -> None:
        self.stage = stage
        self.worker = worker
        self.size = size
        self.servers = stage.servers
        self.policy: Policy = load_settings(stage.settings, lambda _: None).policy()
        self.address_mark = _digits(15)
        self.token_mark = f"t0k3n{secrets.token_hex(8)}"

    def address(self, name: str = "ada", domain: str = _DOMAIN) -> str:
        """Return a new address."""
        return f"{name}.{self.address_mark}.{_digits(11)}@{domain}"

    def token(self, signin_id: str) -> str:
        """Return a valid token for this sign-in."""
        return f"pass.{signin_id}.{self.token_mark}{uuid.uuid4().hex}"

    async def request(
        self,
        address: str,
        *,
        signin_id: str = "",
        attempt: int = 1,
        token: str | None = None,
        times: int = 1,
        headers: Headers = (),
        **client: Any,
    ) -> str:
        """Emit ``signin.requested``, optionally with other members of ``client``; return the sign-in's id."""
        signin_id = signin_id or new_signin_id()
        token = self.token(signin_id) if token is None else token
        event = request_event(signin_id, address, attempt=attempt, token=token, client=_CLIENT | client)
        entry = Request(signin_id, attempt)
        value = json.dumps(event).encode()

        for _ in range(times):
            await self.stage.upstream.emit(self.stage.topics.requested, signin_id.encode(), value, headers, entry)

        return signin_id

    async def submit(self, signin_id: str, address: str, code: str, *, submission_id: str = "", times: int = 1) -> str:
        """Emit ``otp.submitted``; return the submission's id."""
        return await self.stage.upstream.submit(signin_id, address, code, submission_id=submission_id, times=times)

    async def submit_all(self, signin_id: str, address: str, codes: Iterable[str]) -> int:
        """Submit many codes at once; return how many."""
        pending = list(codes)
        for start in range(0, len(pending), _AT_ONCE):
            batch = pending[start : start + _AT_ONCE]
            await asyncio.gather(*(self.submit(signin_id, address, code) for code in batch))
        return len(pending)

    async def wait_for_results(self, signin_ids: Iterable[str], count: int = 1) -> None:
        """Wait until each of these sign-ins has ``count`` results or has ended."""
        for signin_id in signin_ids:
            with contextlib.suppress(SignInEnded):
                await self.stage.upstream.wait_for_results(signin_id, count, _PATIENCE_S)

    async def wait_until_done(self) -> None:
        """Wait until the worker has handled all events, and a moment longer for effects that must not occur."""
        await self.stage.wait_until_recovered()
        await asyncio.sleep(1)

    async def results(self) -> Mapping[str, list[ResultRecord]]:
        """Return the results of each sign-in, without repeats."""
        first: dict[str, dict[str, ResultRecord]] = defaultdict(dict)
        for one in await read_results(self.stage.bootstrap_servers, self.stage.topics.results):
            first[one.signin_id].setdefault(one.event_id, one)
        return defaultdict(list, {signin_id: list(own.values()) for signin_id, own in first.items()})

    async def result_kinds(self, signin_id: str) -> list[str]:
        """Return the type and reason of each result of a sign-in."""
        return [one.kind for one in (await self.results())[signin_id]]

    async def count_compares(self, signin_ids: Collection[str]) -> int:
        """Return how many submissions were compared, according to the results."""
        results = await self.results()
        return sum(
            one.kind.startswith(("otp.rejected wrong_code", "signin.succeeded"))
            for signin_id in signin_ids
            for one in results[signin_id]
        )

    def mails(self, address: str) -> list[ReceivedMail]:
        """Return the mails that arrived in the mailbox of an address, in whatever spelling."""
        parsed = parse_address(address)
        assert parsed is not None
        return [mail for mail in self.all_mails() if parsed.mailbox in map(_mailbox, mail.recipients)]

    def all_mails(self) -> list[ReceivedMail]:
        """Return all mails of this scene."""
        return [
            mail
            for mail in self.servers.mail_server.mails
            if mail.accepted and any(self.address_mark in recipient for recipient in mail.recipients)
        ]

    async def sign_in(self, address: str, **client: Any) -> str:
        """Sign in as the owner of an address: request a code and submit it. Returns the sign-in's id."""
        signin_id, code = await self.request_code(address, **client)
        await self.submit(signin_id, address, code)
        await self.wait_for_results([signin_id], 2)
        kinds = await self.result_kinds(signin_id)

        assert "signin.succeeded" in kinds, f"the owner is locked out: {kinds}"

        return signin_id

    async def request_code(self, address: str, **client: Any) -> tuple[str, str]:
        """Request a code and read it; return the sign-in's id and the code."""
        before = len(self.mails(address))
        signin_id = await self.request(address, **client)
        await self.wait_for_results([signin_id])
        mails = self.mails(address)

        assert len(mails) > before, f"no mail: {await self.result_kinds(signin_id)}"

        return signin_id, mails[-1].code()

    def assert_alive(self) -> None:
        """Raise ``AssertionError`` if the worker has ended."""
        assert self.worker.process.running, self.worker.process.last_output()


def wrong_codes(code: str, count: int) -> list[str]:
    """Return ``count`` different wrong codes."""
    others = (mistyped(f"{number:0{len(code)}d}") for number in range(count + 1))
    return [other for other in others if other != code][:count]


def network(number: int) -> str:
    """Return an IP address in a different /24 for each number."""
    return f"10.{number // 256 % 256}.{number % 256}.9"


@asynccontextmanager
async def open_scene(servers: Servers, size: Size, settings: Mapping[str, str]) -> AsyncIterator[Scene]:
    """Set up a worker with its own topics and keys, and tear it down."""
    async with open_stage(servers, Scale(), dict(settings)) as stage:
        yield Scene(stage, await stage.start_worker(), size)


def _digits(count: int) -> str:
    """Return random digits, which no folding of case or look-alikes changes."""
    return "".join(secrets.choice("0123456789") for _ in range(count))


def _mailbox(address: str) -> str | None:
    parsed = parse_address(address)
    return None if parsed is None else parsed.mailbox
