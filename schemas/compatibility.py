"""Whether a contract still keeps what an earlier one promised.

What was accepted must go on being accepted, and what was promised of results must go on being true: who emits or reads
them is not asked when the worker is deployed. New members and new events are welcome; a new value of a closed set in a
result is not, since a reader may have a branch for each.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas.contract import INBOUND

Schema = Mapping[str, Any]

_LOWER: Final = ("minLength", "minimum")
_UPPER: Final = ("maxLength", "maximum")


def breaking_changes(before: Mapping[str, Schema], after: Mapping[str, Schema]) -> Iterator[str]:
    """Tell each change that breaks somebody, by event and member. Schemas are those of ``json_schemas``."""
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            yield f"{name}: there is no such event any more"
        elif name in INBOUND:
            yield from (f"{name}: {change}" for change in _narrowed(old, new, "", gone="is not read any more"))
        else:
            yield from (f"{name}: {change}" for change in _narrowed(new, old, "", gone=None))
            yield from (f"{name}: {change}" for change in _withdrawn(old, new))


def _withdrawn(old: Schema, new: Schema) -> Iterator[str]:
    """Tell what is not promised of a result any more."""
    for member in old.get("properties", {}).keys() - new.get("properties", {}).keys():
        yield f"{member} is not written any more"


def _narrowed(wide: Schema, narrow: Schema, path: str, gone: str | None) -> Iterator[str]:
    """Tell where ``narrow`` allows less than ``wide``."""
    for member in sorted(set(narrow.get("required", ())) - set(wide.get("required", ()))):
        yield f"{path}{member} is required on one side only"
    mine, others = wide.get("properties", {}), narrow.get("properties", {})
    for member, schema in mine.items():
        if member in others:
            yield from _member(schema, others[member], f"{path}{member}")
        elif gone:
            yield f"{path}{member} {gone}"


def _member(wide: Schema, narrow: Schema, path: str) -> Iterator[str]:
    ways, allowed = _alternatives(wide), _alternatives(narrow)
    for kind, schema in ways.items():
        if kind not in allowed:
            yield f"{path} may be of type {kind} on one side only"
            continue
        other = allowed[kind]
        yield from _narrowed(schema, other, f"{path}.", gone=None)
        yield from (f"{path}: {what}" for what in _tighter(schema, other))


def _tighter(wide: Schema, narrow: Schema) -> Iterator[str]:
    for bound in _LOWER:
        if narrow.get(bound, 0) > wide.get(bound, 0):
            yield f"{bound} {wide.get(bound)} against {narrow[bound]}"
    for bound in _UPPER:
        if bound in narrow and narrow[bound] < wide.get(bound, float("inf")):
            yield f"{bound} {wide.get(bound)} against {narrow[bound]}"
    for form in ("pattern", "format"):
        if form in narrow and narrow[form] != wide.get(form):
            yield f"{form} {wide.get(form)} against {narrow[form]}"
    if "enum" in narrow and (extra := set(wide.get("enum", ["anything"])) - set(narrow["enum"])):
        yield f"{', '.join(sorted(extra))} on one side only"


def _alternatives(schema: Schema) -> Mapping[str, Schema]:
    """Return what a member may be, by its JSON type."""
    return {each.get("type", "anything"): each for each in schema.get("anyOf", [schema])}
