"""A local server that speaks Turnstile's siteverify, with answers that can be scripted.

A widget binds its token to a sign-in, but the call does not say to which. So a valid test
token names its sign-in: ``passing_token`` returns ``pass.<sign-in id>.<anything>``. As with
Cloudflare, a token is valid once, or again with the same idempotency key. Any other token
is invalid. With Cloudflare's test secret every token passes, and the answer is like theirs:
marked, and bound to no sign-in.

``python -m deploy.local.servers.siteverify`` serves it in a container (docs/compose.md).
"""

import argparse
import asyncio
import json
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.local.places import LOOPBACK
from deploy.local.served import ServedApp

HOSTNAME: Final = "signin.example"
ACTION: Final = "signin"
SECRET: Final = "local-turnstile-secret"  # opens nothing but this server
TEST_SECRET: Final = "1x0000000000000000000000000000000AA"  # Cloudflare's own, known to everybody


@dataclass(frozen=True)
class Answer:
    """The answer to one call, given after ``delay_s``.

    A body that is a mapping is sent as JSON and overrides members of the usual answer. Text
    is sent as it is.
    """

    body: Mapping[str, Any] | str | None = None
    status: int = 200
    delay_s: float = 0
    headers: Mapping[str, str] | None = None


def passing_token(signin_id: str) -> str:
    """Return a new token, as a browser gets it for this sign-in."""
    return f"pass.{signin_id}.{uuid.uuid4().hex}"


class SiteverifyServer:
    """Listens on a free port between ``start`` and ``stop``. ``calls`` are the fields of every call, oldest first."""

    def __init__(self, *, secret: str = SECRET) -> None:
        self.secret = secret
        self.url = ""
        self.calls: list[dict[str, str]] = []
        self.app = Starlette(routes=[Route("/siteverify", self._siteverify, methods=["POST"])])
        self._scripted: dict[str | None, list[Answer]] = defaultdict(list)
        self._spent: dict[str, str | None] = {}
        self._served = ServedApp(self.app)

    def script(self, token: str, *answers: Answer) -> None:
        """Answer the next calls with ``token`` so, one answer for each call, and then as usual again."""
        self._scripted[token].extend(answers)

    def script_any(self, *answers: Answer) -> None:
        """Answer the next calls so whatever their token, one answer for each call: an outage."""
        self._scripted[None].extend(answers)

    async def start(self) -> None:
        """Listen on a free port."""
        await self._served.start()
        self.url = f"http://{LOOPBACK}:{self._served.port}/siteverify"

    async def stop(self) -> None:
        """Close the port. May be called again."""
        await self._served.stop()

    async def _siteverify(self, request: Request) -> Response:
        body = await request.body()
        is_json = "json" in request.headers.get("content-type", "")
        fields = dict(json.loads(body) if is_json else _form(body))
        self.calls.append(fields)

        answer = self._next_answer(fields.get("response", ""))
        await asyncio.sleep(answer.delay_s)
        if isinstance(answer.body, str):
            return Response(answer.body, answer.status, answer.headers)

        text = json.dumps({**self._usual_body(fields), **(answer.body or {})})
        return Response(text, answer.status, answer.headers, media_type="application/json")

    def _next_answer(self, token: str) -> Answer:
        for scripted in (self._scripted[token], self._scripted[None]):
            if scripted:
                return scripted.pop(0)
        return Answer()

    def _usual_body(self, fields: Mapping[str, str]) -> dict[str, Any]:
        secret = fields.get("secret")
        token = fields.get("response", "")

        if secret == TEST_SECRET and token:
            return {**_solved_at("example.com"), "metadata": {"result_with_testing_key": True}}
        if secret != self.secret:
            return _failure("invalid-input-secret")
        if not token:
            return _failure("missing-input-response")
        return self._redeem(token, fields.get("idempotency_key"))

    def _redeem(self, token: str, key: str | None) -> dict[str, Any]:
        kind, _, rest = token.partition(".")
        signin_id, _, _ = rest.partition(".")

        if kind != "pass" or not signin_id:
            return _failure("invalid-input-response")
        if token in self._spent and (key is None or self._spent[token] != key):
            return _failure("timeout-or-duplicate")

        self._spent[token] = key
        return {**_solved_at(HOSTNAME), "action": ACTION, "cdata": signin_id}


def _solved_at(hostname: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"success": True, "challenge_ts": now, "hostname": hostname, "error-codes": []}


def _form(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode(), keep_blank_values=True)


def _failure(*codes: str) -> dict[str, Any]:
    return {"success": False, "error-codes": list(codes)}


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.servers.siteverify", description="A local siteverify."
    )
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, default=8082)
    arguments = parser.parse_args()

    uvicorn.run(SiteverifyServer().app, host=arguments.host, port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
