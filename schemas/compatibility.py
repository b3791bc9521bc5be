"""Whether a contract still keeps what an earlier one promised.

Every change is a question about a writer and a reader: whatever is valid for the writer must be
valid for the reader. Of an inbound event the emitters are the writers, by the old schema, and
the worker is the reader, by the new one. Of a result the worker is the writer, by the new
schema, and its consumers are the readers, by the old one. Neither emitters nor consumers are
asked when the worker is deployed.

New members and new events are welcome, since readers ignore what they do not know. A new value
of a closed set in a result is not: a reader may have a branch for each. A keyword that has no
rule here is reported whenever it differs, because nobody can say what that means.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from fractions import Fraction
from math import inf
from typing import Any, Final

from schemas.contract import INBOUND

Schema = Mapping[str, Any] | bool
_Object = Mapping[str, Any]

_ANY: Final = "any type"
_OTHERS: Final = "other members"

_ANNOTATIONS: Final = frozenset(
    (
        "$schema",
        "$id",
        "$comment",
        "title",
        "description",
        "default",
        "deprecated",
        "examples",
        "readOnly",
        "writeOnly",
    )
)
_LOWER_BOUNDS: Final = {
    "minLength": 0,
    "minItems": 0,
    "minProperties": 0,
    "minimum": -inf,
    "exclusiveMinimum": -inf,
}
_UPPER_BOUNDS: Final = ("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum")
_FORMS: Final = ("pattern", "format")
_COMPARED: Final = frozenset(
    (
        "type",
        "enum",
        "const",
        "multipleOf",
        "uniqueItems",
        "items",
        "properties",
        "required",
        "additionalProperties",
        *_LOWER_BOUNDS,
        *_UPPER_BOUNDS,
        *_FORMS,
    )
)


def breaking_changes(before: Mapping[str, _Object], after: Mapping[str, _Object]) -> Iterator[str]:
    """Yield each change that may break someone, by event and member.

    The arguments are results of ``json_schemas``.
    """
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            yield f"{name}: the event no longer exists"
        else:
            changes = _changes(old, new, is_inbound=name in INBOUND)
            yield from (f"{name}: {change}" for change in changes)


def _changes(old: _Object, new: _Object, *, is_inbound: bool) -> Iterator[str]:
    if is_inbound:
        yield from _refused(old, new, "")
        yield from _withdrawn(old, new, "", "read")
    else:
        yield from _refused(new, old, "")
        yield from _withdrawn(old, new, "", "written")


def _withdrawn(old: Schema, new: Schema, path: str, verb: str) -> Iterator[str]:
    """Yield the members that are no longer read or written, those of members included."""
    before = _members(old)
    after = _members(new)

    for member, schema in before.items():
        place = _within(path, member)
        if member in after:
            yield from _withdrawn(schema, after[member], place, verb)
        else:
            yield f"{place} is no longer {verb}"


def _members(schema: Schema) -> Mapping[str, Schema]:
    properties: Mapping[str, Schema] = _alternatives(schema).get("object", {}).get("properties", {})
    return properties


def _refused(writer: Schema, reader: Schema, path: str) -> Iterator[str]:
    """Yield the reasons for which the reader may refuse what the writer may send."""
    if _as_json(writer) == _as_json(reader):
        return

    accepted = _alternatives(reader)
    for kind, sent in _alternatives(writer).items():
        read = _reading(accepted, kind)
        if read is None:
            yield _at(path, f"writers may send {kind}, readers do not accept it")
        else:
            yield from _refused_members(sent, read, path)
            yield from _refused(sent.get("items", True), read.get("items", True), f"{path}[]")
            yield from (_at(path, reason) for reason in _refused_values(sent, read))


def _refused_members(writer: _Object, reader: _Object, path: str) -> Iterator[str]:
    for member in sorted(set(reader.get("required", ())) - set(writer.get("required", ()))):
        yield f"{_within(path, member)}: readers require it, writers may omit it"

    sent = writer.get("properties", {})
    read = reader.get("properties", {})
    others_sent = writer.get("additionalProperties", True)
    others_read = reader.get("additionalProperties", True)

    for member, schema in sent.items():
        yield from _refused(schema, read.get(member, others_read), _within(path, member))
    if others_sent not in (True, {}):  # an open writer does not send members that nobody has named
        for member in read.keys() - sent.keys():
            yield from _refused(others_sent, read[member], _within(path, member))
    yield from _refused(others_sent, others_read, _within(path, _OTHERS))


def _refused_values(writer: _Object, reader: _Object) -> Iterator[str]:
    yield from _refused_constants(writer, reader)

    for bound, unbounded in _LOWER_BOUNDS.items():
        if reader.get(bound, unbounded) > writer.get(bound, unbounded):
            yield _differing(bound, writer, reader)
    for bound in _UPPER_BOUNDS:
        if reader.get(bound, inf) < writer.get(bound, inf):
            yield _differing(bound, writer, reader)
    for form in _FORMS:
        if form in reader and reader[form] != writer.get(form):
            yield _differing(form, writer, reader)

    if reader.get("uniqueItems", False) and not writer.get("uniqueItems", False):
        yield _differing("uniqueItems", writer, reader)
    if "multipleOf" in reader and not _is_multiple(writer.get("multipleOf"), reader["multipleOf"]):
        yield _differing("multipleOf", writer, reader)

    for keyword in sorted((writer.keys() | reader.keys()) - _COMPARED - _ANNOTATIONS):
        if _shown(writer, keyword) != _shown(reader, keyword):
            yield f"cannot be compared: {_differing(keyword, writer, reader)}"


def _refused_constants(writer: _Object, reader: _Object) -> Iterator[str]:
    sent = _constants(writer)
    for accepted in _closed_sets(reader):
        if sent is None:
            yield f"writers may send any value, readers accept only {_listed(accepted)}"
        elif refused := sent - accepted:
            yield f"writers may send {_listed(refused)}, readers do not accept it"


def _constants(schema: _Object) -> Set[str] | None:
    """Return the only values that may be valid, as JSON, or None if any may."""
    return next(_closed_sets(schema), None)


def _closed_sets(schema: _Object) -> Iterator[Set[str]]:
    if "const" in schema:
        yield {_as_json(schema["const"])}
    if "enum" in schema:
        yield {_as_json(value) for value in schema["enum"]}


def _is_multiple(step: float | None, divisor: float) -> bool:
    return step is not None and Fraction(str(step)) % Fraction(str(divisor)) == 0


def _alternatives(schema: Schema) -> Mapping[str, _Object]:
    """Return what a value may be, by JSON type."""
    if isinstance(schema, bool):
        return {_ANY: {}} if schema else {}
    if schema.keys() - _ANNOTATIONS == {"anyOf"}:
        branches = _by_type(schema["anyOf"])
        if branches is not None:
            return branches

    kinds = schema.get("type", _ANY)
    return dict.fromkeys([kinds] if isinstance(kinds, str) else kinds, schema)


def _by_type(branches: Iterable[Schema]) -> Mapping[str, _Object] | None:
    """Return the branches of an ``anyOf``, or None unless each has a single type of its own."""
    found: dict[str, _Object] = {}
    for branch in branches:
        kind = None if isinstance(branch, bool) else branch.get("type")
        if isinstance(branch, bool) or not isinstance(kind, str) or kind in found:
            return None
        found[kind] = branch
    return found


def _reading(accepted: Mapping[str, _Object], kind: str) -> _Object | None:
    """Return what a reader applies to a type: its rules for it, for numbers, or for anything."""
    kinds = (kind, "number", _ANY) if kind == "integer" else (kind, _ANY)
    return next((accepted[each] for each in kinds if each in accepted), None)


def _differing(keyword: str, writer: _Object, reader: _Object) -> str:
    sent = _shown(writer, keyword)
    read = _shown(reader, keyword)
    return f"{keyword} is {sent} for writers, {read} for readers"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(values))


def _shown(schema: _Object, keyword: str) -> str:
    return _as_json(schema[keyword]) if keyword in schema else "absent"


def _as_json(value: Any) -> str:
    """Return JSON that is the same for equal values only: to Python, 1 equals true."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _within(path: str, member: str) -> str:
    return f"{path}.{member}" if path else member


def _at(path: str, reason: str) -> str:
    return f"{path}: {reason}" if path else reason
