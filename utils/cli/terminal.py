"""The terminal: what commands print, and what ``--help`` says about settings."""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Final, NoReturn, Protocol, TypeVar

import typer
import typer.core
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined
from rich.console import Console

from utils.checks.finding import Finding, Probe
from utils.settings.environment import Variable, variables
from utils.cli.rich_output import show_verdict

logger = logging.getLogger(__name__)

_CLICKS_USAGE_ERROR: Final = 2
_T = TypeVar("_T")


class CarryOut(Protocol):
    """Runs what a command has to do, and ends the command with code and advice where that fails."""

    def __call__(self, work: Coroutine[Any, Any, _T], /) -> _T:
        """Return what the work returns."""
        ...


async def examine(probes: Sequence[Probe], *, as_json: bool, known: Sequence[Finding] = ()) -> int:
    """Ask one probe after the other, print what each found as soon as it is known; return the exit code.

    As JSON it is one object at the end. A setting to correct (78) counts more than a dependency that is away (69).
    """
    findings = list(known)
    if not as_json:
        show(findings, as_json=False)
    for probe in probes:
        found = await probe()
        findings += found
        if not as_json:
            show(found, as_json=False)
    if as_json:
        show(findings, as_json=True)
    return max((finding.exit_code for finding in findings if not finding.ok), default=os.EX_OK)


def show(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print findings: a line each, in columns on a terminal, or one JSON object."""
    if as_json:
        listed = [each.entry() for each in findings]
        typer.echo(json.dumps({"ok": all(each.ok for each in findings), "findings": listed}))
    elif (console := Console()).is_terminal:
        for each in findings:
            show_verdict(console, each.verdict, each.name, each.text, each.fix)
    else:
        for each in findings:
            typer.echo(each.line())


def end(code: int, sentences: Sequence[str]) -> NoReturn:
    """End the command, with sentences to stderr."""
    for sentence in sentences:
        typer.echo(sentence, err=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """End the command with 64 if what is built of its arguments is not valid. Values are not repeated."""
    try:
        yield
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        end(os.EX_USAGE, [f"{each['loc'][-1]}: {each['msg']}" for each in found])


def settings_table(model: type[BaseModel]) -> list[tuple[str, str]]:
    """Return each variable and what there is to know about it."""
    return [(variable.name, _described(variable)) for variable in variables(model)]


def _described(variable: Variable) -> str:
    file = f" Or {variable.name}_FILE." if variable.secret else ""
    return f"{variable.field.description}.{_default(variable)}{file}"


def _default(variable: Variable) -> str:
    default: Any = variable.field.default
    if variable.secret or default in (None, (), PydanticUndefined):
        return ""
    return f" Default: {','.join(default) if isinstance(default, tuple) else default}."


class SysexitsGroup(typer.core.TyperGroup):
    """A command group that ends with the exit codes of sysexits(3): 64 for usage, 70 for a bug."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and translate the exit code."""
        try:
            return super().main(*args, **kwargs)
        except SystemExit as end:
            raise SystemExit(os.EX_USAGE if end.code == _CLICKS_USAGE_ERROR else end.code) from None
        except (Exception, asyncio.CancelledError):
            logger.critical("a bug: the process ends", exc_info=True)
            raise SystemExit(os.EX_SOFTWARE) from None


def command_group(text: str) -> typer.Typer:
    """Return an empty group of commands, plain in looks."""
    return typer.Typer(
        cls=SysexitsGroup,
        help=text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def documenting(model: type[BaseModel]) -> type[typer.core.TyperCommand]:
    """Return a kind of command whose help ends with every variable that ``model`` is read from."""

    class Documenting(typer.core.TyperCommand):
        def format_epilog(self, ctx: Any, formatter: Any) -> None:
            with formatter.section("Settings, from the environment"):
                formatter.write_dl(settings_table(model))

    return Documenting
