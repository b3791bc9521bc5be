"""Environment variables: which ones a settings model is read from, secrets in files, and typing errors in names.

pydantic-settings does the reading (prefix, nesting). What it lacks is here: a secret in a file named by the same
variable plus ``_FILE``, and a word about variables that nothing reads.
"""

import difflib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

PREFIX: Final = "SIGNIN_"
DELIMITER: Final = "__"
_SECRETS: Final = (Secret, SecretBytes, SecretStr)
# Kubernetes puts SIGNIN_WORKER_SERVICE_HOST and the like into every pod beside a service named signin-worker.
_NOT_OURS: Final = "SIGNIN_WORKER_"


@dataclass(frozen=True)
class Variable:
    """One setting: its name in the environment and what the model says of it."""

    name: str
    field: FieldInfo
    secret: bool


def variables(model: type[BaseModel]) -> list[Variable]:
    """List every variable that ``model`` is read from."""
    return list(_walk(model, ()))


def variable_name(*path: str | int) -> str:
    """Return the variable of a place in the model."""
    return PREFIX + DELIMITER.join(str(part) for part in path).upper()


def read_tree(environ: Mapping[str, str], model: type[BaseSettings]) -> tuple[dict[str, Any], list[str]]:
    """Read what is set, as nested dictionaries, and list the problems met. An empty variable counts as unset."""
    values: dict[str, str | None] = {}
    problems: list[str] = []
    for variable in variables(model):
        try:
            value = _value(environ, variable)
        except ValueError as error:
            problems.append(str(error))
        else:
            values |= {variable.name.lower(): value} if value else {}
    source = EnvSettingsSource(model)
    source.env_vars = values
    return source(), problems


def unknown_variables(environ: Mapping[str, str], model: type[BaseModel]) -> list[str]:
    """Return a sentence for each variable with our prefix that nothing reads: most likely a typing error."""
    known = {name for variable in variables(model) for name in _names(variable)}
    ours = (name for name in environ if name.startswith(PREFIX) and not name.startswith(_NOT_OURS))
    return [
        f"{name} is not a setting and has no effect{_suggestion(name, known)}"
        for name in sorted(ours)
        if name not in known
    ]


def _walk(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Variable]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _walk(field.annotation, (*path, name))
        else:
            yield Variable(variable_name(*path, name), field, _is_secret(field.annotation))


def _is_secret(annotation: Any) -> bool:
    kinds = (annotation, typing.get_origin(annotation), *typing.get_args(annotation))
    return any(kind in _SECRETS for kind in kinds)


def _names(variable: Variable) -> list[str]:
    return [variable.name, f"{variable.name}_FILE"] if variable.secret else [variable.name]


def _value(environ: Mapping[str, str], variable: Variable) -> str:
    value = environ.get(variable.name, "").strip()
    file = environ.get(f"{variable.name}_FILE", "").strip() if variable.secret else ""
    if not file:
        return value
    if value:
        raise ValueError(f"{variable.name} and {variable.name}_FILE are both set: remove one of them.")
    try:
        value = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        raise ValueError(
            f"{variable.name}_FILE names a file that cannot be read as text: check path and rights."
        ) from None
    if not value:
        raise ValueError(f"{variable.name}_FILE names an empty file: put the secret into it.")
    return value


def _suggestion(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f": did you mean {close[0]}?" if close else "."
