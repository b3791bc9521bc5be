"""All commands but ``run``, by name."""

import typer

from utils.cli.checking import check
from utils.cli.codec_server import codec_server
from utils.cli.dead_letters import dead_letters
from utils.cli.demo import demo
from utils.cli.events import request, submit
from utils.cli.forget import forget
from utils.cli.limits import limits
from utils.cli.mail import mail
from utils.cli.releases import releases
from utils.cli.schemas import schemas
from utils.cli.setup import temporal, topics
from utils.cli.status import status
from utils.cli.terminal import SettingsHelp, with_version
from utils.cli.trace import trace


def add_commands(cli: typer.Typer) -> None:
    """Add the commands, then the groups."""
    cli.callback()(with_version)
    cli.command(cls=SettingsHelp)(check)
    cli.command()(request)
    cli.command(context_settings={"ignore_unknown_options": True})(submit)  # an id may begin with a hyphen
    for command in (status, trace, forget, schemas, codec_server, demo):
        cli.command()(command)

    cli.add_typer(topics, name="topics")
    cli.add_typer(temporal, name="temporal")
    cli.add_typer(releases, name="release")
    cli.add_typer(mail, name="mail")
    cli.add_typer(limits, name="limits")
    cli.add_typer(dead_letters, name="dlt")
