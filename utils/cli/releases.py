"""The commands ``signin-worker release``: which release serves the mailboxes (docs/upgrading.md)."""

import json
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer
from temporalio.service import RPCError, RPCStatusCode

from utils.cli.terminal import Json, command_group, end_command, read_wiring, run_command
from utils.settings.loading import SettingsError
from utils.temporal.releases import Releases, ReleaseState
from utils.wiring import Wiring

_REFUSALS: Final = (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.NOT_FOUND)

BuildIdOption = Annotated[
    str | None,
    typer.Option("--build-id", help="The release that is meant. Default: this one, SIGNIN_TEMPORAL__BUILD_ID."),
]

releases = command_group("Releases side by side: which one is current, and which may be removed.")


@releases.command()
def show(context: typer.Context, as_json: Json = False) -> None:
    """Show each release that Temporal knows, the newest first."""
    known = _known(context)

    if as_json:
        typer.echo(json.dumps({"releases": [vars(each) for each in known]}))
        return

    for each in known:
        share = f", {each.share:g} % of the mailboxes" if each.share else ""
        typer.echo(f"{each.build_id}: {each.state}{share}")
    if not known:
        typer.echo("no worker of this deployment has started yet")


@releases.command()
def drained(context: typer.Context) -> None:
    """Print the releases that serve no workflow any more, one a line: their workers may be removed."""
    for each in _known(context):
        if each.state == "drained":
            typer.echo(each.build_id)


@releases.command()
def ramp(
    context: typer.Context,
    percent: Annotated[float, typer.Argument(min=0, max=100, help="Share of the mailboxes. 0 ends the ramp.")],
    build_id: BuildIdOption = None,
) -> None:
    """Let a share of the mailboxes move to a release that is not current. They move when they are next at rest."""
    wiring = _read_wiring(context)
    named = build_id or wiring.settings.temporal.build_id

    _change(wiring, named, lambda known: known.ramp(named, percent))
    typer.echo(f"{named} serves {percent:g} % of the mailboxes")


@releases.command()
def promote(context: typer.Context, build_id: BuildIdOption = None) -> None:
    """Make a release current: all mailboxes move to it when they are next at rest. This is also how to go back."""
    wiring = _read_wiring(context)
    named = build_id or wiring.settings.temporal.build_id

    _change(wiring, named, lambda known: known.promote(named))
    typer.echo(f"{named} is current")


def _read_wiring(context: typer.Context) -> Wiring:
    return read_wiring(context, "SIGNIN_TEMPORAL__")


async def _releases(wiring: Wiring) -> Releases:
    deployment = wiring.settings.temporal.deployment
    if deployment is None:
        raise SettingsError(["SIGNIN_TEMPORAL__DEPLOYMENT is missing: name the worker deployment."])
    return Releases(await wiring.temporal(), deployment)


def _known(context: typer.Context) -> tuple[ReleaseState, ...]:
    wiring = _read_wiring(context)

    async def ask() -> tuple[ReleaseState, ...]:
        known = await _releases(wiring)
        return await known.list()

    return run_command(ask())


def _change(wiring: Wiring, build_id: str, change: Callable[[Releases], Awaitable[None]]) -> None:
    """Make a change, or end the command with 69 if Temporal refuses it."""

    async def make() -> bool:
        known = await _releases(wiring)
        try:
            await change(known)
        except RPCError as error:
            if error.status not in _REFUSALS:
                raise
            return False
        return True

    if not run_command(make()):
        advice = "start its workers, and try again once they are ready."
        end_command(
            os.EX_UNAVAILABLE, f"No worker of {build_id} polls all task queues of the current release: {advice}"
        )
