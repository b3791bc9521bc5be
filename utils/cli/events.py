"""The commands that emit events by hand: ``signin-worker request`` and ``submit``."""

import json
import secrets
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Protocol

import typer

from consumers.ports import utc_now
from schemas.inbound import Client, OtpSubmitted, SignInRequested
from utils.cli.terminal import CarryOut, usage_errors

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class Write(Protocol):
    """Writes one record."""

    def __call__(self, topic: str, key: bytes, value: bytes) -> Coroutine[Any, Any, NamedTuple]:
        """Return where it lies, once Kafka has it."""
        ...


@dataclass(frozen=True)
class PostBox:
    """The inbound topics, and how to write to them."""

    requested_topic: str
    submitted_topic: str
    write: Write


class EventCommands:
    """Two commands. ``open_box`` reads the settings."""

    def __init__(self, open_box: Callable[[], PostBox], carry_out: CarryOut) -> None:
        self._open_box = open_box
        self._carry_out = carry_out

    def add_to(self, group: typer.Typer) -> None:
        """Add the commands."""
        group.command()(self.request)
        # An id may begin with a hyphen.
        group.command(context_settings={"ignore_unknown_options": True})(self.submit)

    def request(
        self,
        email: str,
        signin_id: Annotated[str, typer.Option(help="By default a random one.")] = "",
        attempt: Annotated[int, typer.Option(help="2 and up: send it again.")] = 1,
        token: Annotated[str, typer.Option(help="Turnstile's token.")] = "",
        ip: Annotated[str | None, typer.Option(help="The person's address.")] = None,
        user_agent: Annotated[str | None, typer.Option(help="The person's browser.")] = None,
        locale: Annotated[str | None, typer.Option(help="Such as de-CH.")] = None,
        trusted_device: Annotated[bool, typer.Option("--trusted-device", help="The device is known.")] = False,
        as_json: Json = False,
    ) -> None:
        """Emit signin.requested, and print the sign-in's id."""
        box = self._open_box()
        with usage_errors():
            event = SignInRequested(
                signin_id=signin_id or secrets.token_hex(16),
                attempt=attempt,
                email=email,
                requested_at=utc_now(),
                turnstile_token=token or None,
                client=Client(ip=ip, user_agent=user_agent, locale=locale, trusted_device=trusted_device),
            )
        self._emit(box.write, box.requested_topic, event, {"signin_id": event.signin_id}, as_json)

    def submit(
        self,
        signin_id: str,
        email: str,
        code: str,
        submission_id: Annotated[str, typer.Option(help="By default a random one.")] = "",
        as_json: Json = False,
    ) -> None:
        """Emit otp.submitted, and print the submission's id."""
        box = self._open_box()
        with usage_errors():
            event = OtpSubmitted(
                submission_id=submission_id or str(uuid.uuid4()),
                signin_id=signin_id,
                email=email,
                code=code,
                submitted_at=utc_now(),
            )
        ids = {"signin_id": signin_id, "submission_id": event.submission_id}
        self._emit(box.write, box.submitted_topic, event, ids, as_json)

    def _emit(
        self, write: Write, topic: str, event: SignInRequested | OtpSubmitted, ids: dict[str, str], as_json: bool
    ) -> None:
        value = event.model_dump_json(exclude_none=True).encode()
        place = self._carry_out(write(topic, event.signin_id.encode(), value))
        lines = "\n".join(f"{name} {id}" for name, id in ids.items())
        typer.echo(json.dumps(ids | place._asdict()) if as_json else lines)
