"""Environment variables: which ones a model is read from, secrets in files, and misspelt names.

pydantic-settings does the reading (prefix, nesting). This module adds what it lacks:
secrets in a file named by the same variable plus ``_FILE``, and warnings about variables
that nothing reads.
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
_SECRET_TYPES: Final = (Secret, SecretBytes, SecretStr)
# Kubernetes puts SIGNIN_WORKER_SERVICE_HOST and the like into every pod beside a service named signin-worker.
_KUBERNETES_PREFIX: Final = "SIGNIN_WORKER_"


@dataclass(frozen=True)
class Variable:
    """One setting: the name of its environment variable, and its field in the model."""

    name: str
    field: FieldInfo
    secret: bool

    @property
    def file_name(self) -> str:
        """The variable that names a file with the secret."""
        return f"{self.name}_FILE"


def variables(model: type[BaseModel]) -> list[Variable]:
    """List the variables that ``model`` is read from."""
    return list(_walk(model, ()))


def variable_name(*path: str | int) -> str:
    """Return the variable for a path in the model."""
    return PREFIX + DELIMITER.join(str(part) for part in path).upper()


def read_tree(environ: Mapping[str, str], model: type[BaseSettings]) -> tuple[dict[str, Any], list[str]]:
    """Read the variables into nested dictionaries, and list the problems. An empty variable counts as unset."""
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


def secret_files(environ: Mapping[str, str], model: type[BaseModel]) -> dict[str, str]:
    """Return the files that secrets are read from, by the variables that they stand for."""
    secrets = [variable for variable in variables(model) if variable.secret]
    files = {variable.name: environ.get(variable.file_name, "").strip() for variable in secrets}
    return {name: file for name, file in files.items() if file}


def unknown_variables(environ: Mapping[str, str], model: type[BaseModel]) -> list[str]:
    """Return a sentence for each variable that has our prefix and that nothing reads: most likely it is misspelt."""
    known = {name for variable in variables(model) for name in _names(variable)}
    ours = {name for name in environ if name.startswith(PREFIX) and not name.startswith(_KUBERNETES_PREFIX)}

    return [f"{name} is not a setting and has no effect{_suggestion(name, known)}" for name in sorted(ours - known)]


def _walk(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Variable]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _walk(field.annotation, (*path, name))
        else:
            yield Variable(variable_name(*path, name), field, _is_secret(field.annotation))


def _is_secret(annotation: Any) -> bool:
    if annotation in _SECRET_TYPES or typing.get_origin(annotation) in _SECRET_TYPES:
        return True
    return any(_is_secret(part) for part in typing.get_args(annotation))


def _names(variable: Variable) -> list[str]:
    return [variable.name, variable.file_name] if variable.secret else [variable.name]


def _value(environ: Mapping[str, str], variable: Variable) -> str:
    value = environ.get(variable.name, "").strip()
    file = environ.get(variable.file_name, "").strip() if variable.secret else ""

    if not file:
        return value
    if value:
        raise ValueError(f"{variable.name} and {variable.file_name} are both set: remove one of them.")
    return _secret_in(file, variable)


def _secret_in(file: str, variable: Variable) -> str:
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        problem = "names a file that cannot be read as text: check its path and permissions."
        raise ValueError(f"{variable.file_name} {problem}") from None

    if not secret:
        raise ValueError(f"{variable.file_name} names an empty file: put the secret into it.")
    return secret


def _suggestion(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f": did you mean {close[0]}?" if close else "."
