"""The commands that emit events by hand: ``signin-worker request`` and ``submit``."""

import json
import secrets
import uuid
from typing import Annotated

import typer

from consumers.ports import utc_now
from schemas.inbound import Client, OtpSubmitted, SignInRequested
from utils.cli.terminal import Json, read_wiring, run_command, usage_errors
from utils.kafka.writers import emit
from utils.wiring import Wiring


def request(
    context: typer.Context,
    email: str,
    signin_id: Annotated[str, typer.Option(help="Random by default.")] = "",
    attempt: Annotated[int, typer.Option(help="2 and up: send the code again.")] = 1,
    token: Annotated[str, typer.Option(help="Turnstile's token.")] = "",
    ip: Annotated[str | None, typer.Option(help="The person's IP address.")] = None,
    user_agent: Annotated[str | None, typer.Option(help="The person's browser.")] = None,
    locale: Annotated[str | None, typer.Option(help="Such as de-CH.")] = None,
    trusted_device: Annotated[bool, typer.Option("--trusted-device", help="The device is known.")] = False,
    as_json: Json = False,
) -> None:
    """Emit signin.requested, and print the sign-in's id."""
    wiring = read_wiring(context, "SIGNIN_KAFKA__")

    with usage_errors():
        event = SignInRequested(
            signin_id=signin_id or secrets.token_hex(16),
            attempt=attempt,
            email=email,
            requested_at=utc_now(),
            turnstile_token=token or None,
            client=Client(ip=ip, user_agent=user_agent, locale=locale, trusted_device=trusted_device),
        )

    ids = {"signin_id": event.signin_id}
    _emit(wiring, wiring.settings.kafka.requested_topic, event, ids, as_json)


def submit(
    context: typer.Context,
    signin_id: str,
    email: str,
    code: str,
    submission_id: Annotated[str, typer.Option(help="Random by default.")] = "",
    as_json: Json = False,
) -> None:
    """Emit otp.submitted, and print the submission's id."""
    wiring = read_wiring(context, "SIGNIN_KAFKA__")

    with usage_errors():
        event = OtpSubmitted(
            submission_id=submission_id or str(uuid.uuid4()),
            signin_id=signin_id,
            email=email,
            code=code,
            submitted_at=utc_now(),
        )

    ids = {"signin_id": signin_id, "submission_id": event.submission_id}
    _emit(wiring, wiring.settings.kafka.submitted_topic, event, ids, as_json)


def _emit(
    wiring: Wiring, topic: str, event: SignInRequested | OtpSubmitted, ids: dict[str, str], as_json: bool
) -> None:
    key = event.signin_id.encode()
    value = event.model_dump_json(exclude_none=True).encode()
    place = run_command(emit(wiring.kafka_access, topic, key, value))

    if as_json:
        typer.echo(json.dumps(ids | place._asdict()))
    else:
        typer.echo("\n".join(f"{name} {id}" for name, id in ids.items()))
