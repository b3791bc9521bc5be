"""The commands that prepare the servers: ``signin-worker topics create`` and ``temporal create``."""

from datetime import timedelta
from typing import Annotated, Final

import typer

from utils.cli.terminal import command_group, read_wiring, run_command
from utils.kafka.topics import DEFAULT_PARTITIONS, create_topics
from utils.temporal.namespace import NamespaceReport, create_namespace
from utils.wiring import Wiring

_MAX_REPLICATION: Final = 32_767  # the protocol's field has 16 bits

topics = command_group("Kafka's topics.")
temporal = command_group("Temporal's namespace.")


@topics.command("create")
def create_topics_command(
    context: typer.Context,
    partitions: Annotated[
        int, typer.Option("--partitions", min=1, help="Partitions of each new topic: at most so many workers read.")
    ] = DEFAULT_PARTITIONS,
    replication_factor: Annotated[
        int | None,
        typer.Option(
            "--replication-factor",
            min=1,
            max=_MAX_REPLICATION,
            help="Replicas of each new topic. Default: 3, or one per broker if there are fewer.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Create the topics that are missing. Existing topics are compared, never changed."""
    wiring = read_wiring(context, "SIGNIN_KAFKA__")
    plans = wiring.plan_topics(partitions)
    reports = run_command(create_topics(wiring.kafka_access, plans, replication_factor))

    for report in reports:
        typer.echo(f"{report.name}: {_state(report.created)}")
        for difference in report.differences:
            typer.echo(f"  {difference}")


@temporal.command("create")
def create_namespace_command(
    context: typer.Context,
    retention_days: Annotated[
        int, typer.Option("--retention-days", min=1, max=90, help="Retention of a new namespace.")
    ] = 3,
) -> None:
    """Create the namespace and its search attributes where they are missing. Nothing existing is changed."""
    wiring = read_wiring(context, "SIGNIN_TEMPORAL__")
    report = run_command(_create_namespace(wiring, timedelta(days=retention_days)))

    typer.echo(f"{report.name}: {_state(report.created)}, retention {report.retention}")
    added = ", ".join(report.added)
    typer.echo(f"search attributes: {added or 'none'} added")


async def _create_namespace(wiring: Wiring, retention: timedelta) -> NamespaceReport:
    """Create a namespace that remembers for ``retention``, or for as long as a replay may reach back if longer."""
    horizon = timedelta(seconds=wiring.settings.replay_horizon_s)
    return await create_namespace(await wiring.temporal(), max(retention, horizon))


def _state(created: bool) -> str:
    return "created" if created else "exists"
