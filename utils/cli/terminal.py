"""What all commands share: exit codes, options, and the help on settings."""

import asyncio
import contextlib
import getpass
import logging
import os
import re
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer
import typer.core
import uvloop
from pydantic import ValidationError
from pydantic_core import PydanticUndefined
from temporalio.service import RPCError, RPCStatusCode

from activities.addresses import Address, parse_address
from activities.errors import TemporalUnavailable
from consumers.ports import KafkaUnavailable
from utils.endpoints import CannotListen, InstanceUnavailable
from utils.process import StopRequested, stop_on_signals
from utils.settings.environment import Variable, variables
from utils.settings.loading import Settings, SettingsError
from utils.smtp.mail_templates import TemplatesError
from utils.temporal.client import TemporalSettingsError
from utils.version import NAME, own_version
from utils.wiring import Wire, Wiring

logger = logging.getLogger(__name__)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_CLICK_USAGE_ERROR: Final = 2
_Result = TypeVar("_Result")


def read_wiring(context: typer.Context, *only: str) -> Wiring:
    """Return the wiring that the command was given, or end the command if a setting is wrong.

    Only the settings whose names start with one of ``only`` have to be right; all of them by default.
    """
    wire: Wire = context.obj
    try:
        wiring = wire(*only)
    except SettingsError as error:
        end_command(os.EX_CONFIG, *error.problems)

    for warning in wiring.warnings:
        logger.warning(warning)
    return wiring


def require_account_key(wiring: Wiring) -> None:
    """End the command if the account key was made up at its start: under such a key, nobody is ever found."""
    if "account" not in wiring.settings.keys.model_fields_set:
        end_command(os.EX_CONFIG, "SIGNIN_KEYS__ACCOUNT is missing: give the workers' key, by which people are found.")


def run_command(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return the result of ``work``, or end the command with the exit code and the advice that its failure calls for.

    SIGTERM ends the process at once, even if it was blocked until now.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    return _run(work)


def run_until_signal(
    serve: Callable[[asyncio.Event], Coroutine[Any, Any, None]], listening: str = "SIGNIN_HTTP"
) -> None:
    """Serve until a signal sets the event, or end the command as ``run_command`` does.

    ``listening`` is the prefix of the settings that say where ``serve`` listens.
    """

    async def until_signal() -> None:
        with contextlib.suppress(StopRequested):
            await serve(stop_on_signals())

    _run(until_signal(), listening)


def _run(work: Coroutine[Any, Any, _Result], listening: str = "") -> _Result:
    try:
        return uvloop.run(work)
    except SettingsError as error:
        end_command(os.EX_CONFIG, *error.problems)
    except TemplatesError as error:
        end_command(os.EX_CONFIG, f"SIGNIN_MAIL__TEMPLATES cannot be used. {error}")
    except TemporalSettingsError as error:
        end_command(os.EX_CONFIG, f"{error}: correct the variables TEMPORAL_* or the profile.")
    except CannotListen:
        end_command(os.EX_CONFIG, f"Cannot listen on {listening}__HOST and {listening}__PORT: choose others.")
    except InstanceUnavailable as error:
        advice = "set SIGNIN_HTTP__HOST and SIGNIN_HTTP__PORT to those of an instance with a consumer."
        end_command(os.EX_UNAVAILABLE, f"{error}: {advice}")
    except (TemporalUnavailable, RPCError) as error:
        what = f"No usable answer from Temporal or its workers ({_status(error)})"
        end_command(os.EX_UNAVAILABLE, f"{what}: run signin-worker check.")
    except KafkaUnavailable as error:
        end_command(os.EX_UNAVAILABLE, f"Kafka is unavailable ({error}): run signin-worker check.")


def _status(error: BaseException) -> str:
    """Return the status of the call that failed. The server's own text may quote an address (SECURITY S8)."""
    cause = error.__context__ if isinstance(error, TemporalUnavailable) else error
    return RPCStatusCode(cause.status).name if isinstance(cause, RPCError) else "no connection"


def end_command(code: int, *sentences: str) -> NoReturn:
    """Print sentences to stderr and end the command with an exit code."""
    for sentence in sentences:
        typer.echo(sentence, err=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """End the command with 64 if a model rejects its arguments. Their values are not repeated."""
    try:
        yield
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        end_command(os.EX_USAGE, *(f"{each['loc'][-1]}: {each['msg']}" for each in found))


def email_address(text: str) -> Address:
    """Return the address, or end the command with 64. The text is not repeated."""
    address = parse_address(text)
    if address is None:
        end_command(os.EX_USAGE, "This is not an e-mail address.")
    return address


def operator_name(given: str) -> str:
    """Return a name that the audit trail takes, by default the user's. Ends the command with 64 if none is left."""
    name = re.sub(r"[^A-Za-z0-9_.@+-]", "_", given or _user_name())[:64]
    if not name:
        end_command(os.EX_USAGE, "--operator must be a name of 1 to 64 characters.")
    return name


def _user_name() -> str:
    """Return the user's name, or their number: a container may run as a user that its image does not know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError: since Python 3.13
        return f"uid-{os.getuid()}"


class SysexitsGroup(typer.core.TyperGroup):
    """A command group that uses the exit codes of sysexits(3): 64 for usage, 70 for a bug."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and translate the exit code."""
        try:
            return super().main(*args, **kwargs)
        except SystemExit as error:
            raise SystemExit(os.EX_USAGE if error.code == _CLICK_USAGE_ERROR else error.code) from None
        except (Exception, asyncio.CancelledError):
            logger.critical("a bug: the process ends", exc_info=True)
            raise SystemExit(os.EX_SOFTWARE) from None


def command_group(text: str, wire: Wire | None = None) -> typer.Typer:
    """Return an empty group of commands, without colours. ``wire`` is for all commands below it."""
    return typer.Typer(
        cls=SysexitsGroup,
        help=text,
        context_settings={"obj": wire} if wire else None,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"{NAME} {own_version()}")
        raise typer.Exit


def with_version(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Add ``--version`` to a group."""


class SettingsHelp(typer.core.TyperCommand):
    """A command whose help ends with every setting."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the settings below the options."""
        with formatter.section("Settings, from the environment"):
            formatter.write_dl(settings_table())


def settings_table() -> list[tuple[str, str]]:
    """Return each variable with its description."""
    return [(variable.name, _description(variable)) for variable in variables(Settings)]


def _description(variable: Variable) -> str:
    file = f" Or {variable.name}_FILE." if variable.secret else ""
    return f"{variable.field.description}.{_default(variable)}{file}"


def _default(variable: Variable) -> str:
    default: Any = variable.field.default
    if variable.secret or default in (None, (), PydanticUndefined):
        return ""
    return f" Default: {','.join(default) if isinstance(default, tuple) else default}."
