"""Reads the settings from the environment and refuses unsafe ones (CONTRACT: settings; SECURITY S12, S17, S18).

All problems are found at once. Each is a sentence that names the variable and says what to
do. No sentence ever holds a value: it may be a secret.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from utils.settings.environment import PREFIX, read_tree, unknown_variables, variable_name
from utils.settings.model import Settings
from utils.settings.rules import contradictions, oddities, risks

__all__ = ["Settings", "SettingsError", "load_settings"]


class SettingsError(Exception):
    """Raised when the worker cannot or must not run with its settings. ``problems`` are sentences."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_settings(
    environ: Mapping[str, str],
    warn: Callable[[str], None] = lambda sentence: None,
    only: str | tuple[str, ...] = PREFIX,
) -> Settings:
    """Read the settings; call ``warn`` with a sentence for whatever is odd but allowed. Raises ``SettingsError``.

    ``only`` limits problems and warnings to variables with these prefixes: emitting an
    event needs no mail server.
    """
    tree, problems = read_tree(environ, Settings)
    settings, invalid = _parse(tree)
    problems += [_sentence(error) for error in invalid]

    # The rules see invalid settings as missing. Each variable is reported once, for its own error.
    reported = {_variable(problem) for problem in problems}
    problems += _about_others(contradictions(settings), reported)
    unsafe = _about_others(risks(settings), reported)
    warnings = [*unknown_variables(environ, Settings), *oddities(settings)]

    if settings.environment == "production":
        problems += unsafe
    else:
        warnings = [*unsafe, *warnings]

    if relevant := [problem for problem in problems if problem.startswith(only)]:
        raise SettingsError(relevant)

    for warning in warnings:
        if warning.startswith(only):
            warn(warning)

    return settings


def _parse(tree: dict[str, Any]) -> tuple[Settings, list[ErrorDetails]]:
    """Return the settings without the invalid values, and the errors of those."""
    try:
        return Settings(**tree), []
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)

    for path in {_path(each) for each in errors}:
        branch = tree
        for part in path[:-1]:
            branch = branch[part]
        del branch[path[-1]]

    return Settings(**tree), errors


def _path(error: ErrorDetails) -> tuple[str, ...]:
    """Return the path of the variable. Inside a list or a union, pydantic's own path goes on after it."""
    section = str(error["loc"][0])
    is_section = Settings.model_fields[section].default_factory is not None
    depth = 2 if is_section else 1

    return tuple(str(part) for part in error["loc"][:depth])


def _sentence(error: ErrorDetails) -> str:
    text = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{variable_name(*_path(error))} is not valid: {text[:1].lower()}{text[1:]}."


def _variable(sentence: str) -> str:
    return sentence.split()[0].removesuffix("_FILE")


def _about_others(sentences: Iterator[str], reported: set[str]) -> list[str]:
    return [sentence for sentence in sentences if _variable(sentence) not in reported]
