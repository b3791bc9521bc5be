"""A change of the contract is reported unless it is known to break nobody."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # no stubs

from schemas.compatibility import breaking_changes
from schemas.contract import json_schemas

SCHEMAS = json_schemas()
REQUEST = "signin.requested"
REJECTED = "otp.rejected"

Change = Callable[[dict[str, Any]], object]

BREAKING: list[tuple[str, Change, str]] = [
    (
        "an event is gone",
        lambda it: it.pop(REQUEST),
        "signin.requested: the event no longer exists",
    ),
    (
        "a member becomes required",
        lambda it: it[REQUEST]["required"].append("client"),
        "signin.requested: client: readers require it, writers may omit it",
    ),
    (
        "a member is not read",
        lambda it: it[REQUEST]["properties"].pop("client"),
        "signin.requested: client is no longer read",
    ),
    (
        "a member of a member is not read",
        lambda it: client(it)["properties"].pop("ip"),
        "signin.requested: client.ip is no longer read",
    ),
    (
        "null is not accepted within a member",
        lambda it: client(it)["properties"].update(locale={"type": "string"}),
        "signin.requested: client.locale: writers may send null, readers do not accept it",
    ),
    (
        "null is not accepted",
        lambda it: it[REQUEST]["properties"].update(client=client(it)),
        "signin.requested: client: writers may send null, readers do not accept it",
    ),
    (
        "shorter",
        lambda it: it[REQUEST]["properties"]["email"].update(maxLength=254),
        "signin.requested: email: maxLength is 320 for writers, 254 for readers",
    ),
    (
        "longer",
        lambda it: it[REQUEST]["properties"]["email"].update(minLength=3),
        "signin.requested: email: minLength is 1 for writers, 3 for readers",
    ),
    (
        "fewer",
        lambda it: it[REQUEST]["properties"]["attempt"].update(maximum=5),
        "signin.requested: attempt: maximum is 20 for writers, 5 for readers",
    ),
    (
        "a minimum of zero",
        lambda it: it[REQUEST]["properties"].update(attempt={"type": "integer", "maximum": 20, "minimum": 2}),
        "signin.requested: attempt: minimum is 1 for writers, 2 for readers",
    ),
    (
        "another pattern",
        lambda it: it[REQUEST]["properties"]["signin_id"].update(pattern="^a$"),
        'signin.requested: signin_id: pattern is "^[A-Za-z0-9_-]{22,64}$" for writers, "^a$" for readers',
    ),
    (
        "a result lacks a member",
        lambda it: it[REJECTED]["properties"].pop("attempts_left"),
        "otp.rejected: attempts_left is no longer written",
    ),
    (
        "a result may lack a member",
        lambda it: it[REJECTED]["required"].remove("reason"),
        "otp.rejected: reason: readers require it, writers may omit it",
    ),
    (
        "a new reason",
        lambda it: it[REJECTED]["properties"]["reason"]["enum"].append("odd"),
        'otp.rejected: reason: writers may send "odd", readers do not accept it',
    ),
    (
        "another type",
        lambda it: it[REJECTED]["properties"]["account"].update(type="integer"),
        "otp.rejected: account: writers may send integer, readers do not accept it",
    ),
    (
        "no pattern",
        lambda it: it[REJECTED]["properties"]["signin_id"].pop("pattern"),
        'otp.rejected: signin_id: pattern is absent for writers, "^[A-Za-z0-9_-]{22,64}$" for readers',
    ),
    (
        "no further members",
        lambda it: it[REQUEST].update(additionalProperties=False),
        "signin.requested: other members: writers may send any type, readers do not accept it",
    ),
    (
        "further members of a member have a type",
        lambda it: client(it).update(additionalProperties={"type": "string"}),
        "signin.requested: client.other members: writers may send any type, readers do not accept it",
    ),
    (
        "one value only",
        lambda it: it[REQUEST]["properties"]["attempt"].update(const=1),
        "signin.requested: attempt: writers may send any value, readers accept only 1",
    ),
    (
        "another constant in a result",
        lambda it: it[REJECTED]["properties"].update(reason={"type": "string", "const": "odd"}),
        'otp.rejected: reason: writers may send "odd", readers do not accept it',
    ),
    (
        "an unknown keyword of a result disappears",
        lambda it: it.update({REJECTED: {**it[REJECTED], "type": "object", "not": {"required": ["locale"]}}}),
        'otp.rejected: cannot be compared: not is {"required": ["locale"]} for writers, absent for readers',
    ),
]

UNKNOWN_OR_TIGHTER: dict[str, Any] = {
    "exclusiveMinimum": 0,
    "exclusiveMaximum": 20,
    "multipleOf": 2,
    "minItems": 1,
    "maxItems": 9,
    "uniqueItems": True,
    "minProperties": 1,
    "maxProperties": 9,
    "format": "email",
    "items": {"type": "string"},
    "enum": [1, 2],
    "const": 1,
    "additionalProperties": False,
    "patternProperties": {"^x": {"type": "string"}},
    "propertyNames": {"pattern": "^[a-z]+$"},
    "if": {"minimum": 2},
    "then": {"maximum": 3},
    "else": {"maximum": 1},
    "not": {"const": 7},
    "allOf": [{"minimum": 2}],
    "anyOf": [{"minimum": 2}, {"maximum": 1}],
    "oneOf": [{"minimum": 2}, {"maximum": 1}],
    "dependentRequired": {"a": ["b"]},
    "dependentSchemas": {"a": {"required": ["b"]}},
    "prefixItems": [{"type": "string"}],
    "contains": {"type": "string"},
    "minContains": 2,
    "maxContains": 3,
    "unevaluatedProperties": False,
    "unevaluatedItems": False,
    "contentEncoding": "base64",
    "$ref": "#/$defs/a",
    "$defs": {"a": {"type": "string"}},
    "x-of-nobody": True,
}

WELCOME: list[tuple[str, Change]] = [
    ("nothing", lambda it: None),
    ("a new event", lambda it: it.update({"signin.new": it[REJECTED]})),
    ("a member that may be read", lambda it: it[REQUEST]["properties"].update(more={"type": "string"})),
    ("a member is no longer required", lambda it: it[REQUEST]["required"].remove("email")),
    ("longer is accepted", lambda it: it[REQUEST]["properties"]["email"].update(maxLength=400)),
    ("any length is accepted", lambda it: it[REQUEST]["properties"]["email"].pop("maxLength")),
    ("any pattern is accepted", lambda it: it[REQUEST]["properties"]["signin_id"].pop("pattern")),
    ("null is accepted", lambda it: it[REQUEST]["properties"]["attempt"].update(type=["integer", "null"])),
    ("any number is accepted", lambda it: it[REQUEST]["properties"]["attempt"].update(type="number")),
    ("anything is accepted", lambda it: it[REQUEST]["properties"].update(attempt={})),
    ("a further member is written", lambda it: it[REJECTED]["properties"].update(more={"type": "string"})),
    ("a member is always written", lambda it: it[REJECTED]["required"].append("account")),
    ("a reason is no longer given", lambda it: it[REJECTED]["properties"]["reason"]["enum"].remove("locked")),
    ("one reason is left", lambda it: it[REJECTED]["properties"].update(reason={"type": "string", "const": "locked"})),
    ("nothing else is written", lambda it: it[REJECTED].update(additionalProperties=False)),
    ("less is written", lambda it: it[REJECTED]["properties"]["attempts_left"].update(exclusiveMaximum=5)),
    ("the words change", lambda it: it[REQUEST].update(description="Another text.", title="Another title")),
]


def client(schemas: dict[str, Any]) -> Any:
    """Return the schema of the request's client, where it is not null."""
    return schemas[REQUEST]["properties"]["client"]["anyOf"][0]


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in BREAKING], ids=[case[0] for case in BREAKING])
def test_a_breaking_change_is_reported_by_event_and_member(change: Change, words: str) -> None:
    """The report names the event, the member and the rule, and reports nothing else."""
    after = copy.deepcopy(dict(SCHEMAS))
    change(after)
    assert list(breaking_changes(SCHEMAS, after)) == [words]


@pytest.mark.parametrize("change", [case[1] for case in WELCOME], ids=[case[0] for case in WELCOME])
def test_a_harmless_change_is_not_reported(change: Change) -> None:
    """Additions, wider inputs and narrower outputs break nobody."""
    after = copy.deepcopy(dict(SCHEMAS))
    change(after)
    assert not list(breaking_changes(SCHEMAS, after))


@pytest.mark.parametrize("keyword", UNKNOWN_OR_TIGHTER)
@pytest.mark.parametrize("member", ["", "attempt"])
def test_a_new_rule_for_what_is_read_is_reported(keyword: str, member: str) -> None:
    """Whatever the keyword, and also where JSON Schema has it do nothing: readers may not know that."""
    after = copy.deepcopy(dict(SCHEMAS))
    place = after[REQUEST]["properties"][member] if member else after[REQUEST]
    place[keyword] = UNKNOWN_OR_TIGHTER[keyword]
    assert list(breaking_changes(SCHEMAS, after))


@pytest.mark.parametrize("keyword", UNKNOWN_OR_TIGHTER)
@pytest.mark.parametrize("member", ["", "attempts_left"])
def test_a_dropped_rule_for_what_is_written_is_reported(keyword: str, member: str) -> None:
    """Readers may rely on it."""
    before = copy.deepcopy(dict(SCHEMAS))
    place = before[REJECTED]["properties"][member] if member else before[REJECTED]
    place[keyword] = UNKNOWN_OR_TIGHTER[keyword]
    assert list(breaking_changes(before, SCHEMAS))


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from([0.5, 1.5]), st.sampled_from("ab"))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=2))
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
SMALL = st.integers(-1, 3)
COUNTS = st.integers(0, 2)
RULES: dict[str, st.SearchStrategy[Any]] = {
    "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
    "enum": st.lists(SCALARS, min_size=1, max_size=3),
    "const": SCALARS,
    "minimum": SMALL,
    "maximum": SMALL,
    "exclusiveMinimum": SMALL,
    "exclusiveMaximum": SMALL,
    "multipleOf": st.sampled_from([0.5, 1, 2]),
    "minLength": COUNTS,
    "maxLength": COUNTS,
    "pattern": st.sampled_from(["^a", "b$"]),
    "minItems": COUNTS,
    "maxItems": COUNTS,
    "uniqueItems": st.booleans(),
    "minProperties": COUNTS,
    "maxProperties": COUNTS,
    "required": st.lists(st.sampled_from("ab"), max_size=2, unique=True),
    "not": st.fixed_dictionaries({"type": TYPES}),
    "anyOf": st.lists(st.fixed_dictionaries({"type": TYPES}, optional={"minimum": SMALL}), min_size=1, max_size=2),
    "if": st.fixed_dictionaries({"type": TYPES}),
    "then": st.fixed_dictionaries({"minimum": SMALL}),
    "contains": st.fixed_dictionaries({"type": TYPES}),
    "minContains": COUNTS,
}
INNER = st.booleans() | st.fixed_dictionaries({}, optional=RULES)
RULESETS = st.fixed_dictionaries({}, optional=RULES | {"items": INNER, "additionalProperties": INNER})


@st.composite
def changes(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a set of rules, and the same with a few of them changed or dropped."""
    old = draw(RULESETS)
    changed = draw(RULESETS)
    dropped = draw(st.sets(st.sampled_from([*old, "none"])))
    return old, {name: rule for name, rule in (old | changed).items() if name not in dropped}


@given(change=changes(), value=VALUES)
@example(change=({"type": "integer"}, {"type": "integer", "minimum": 0}), value=-1)
@example(change=({"const": 1}, {"const": 1, "enum": [2]}), value=1)
@example(change=({"const": 1}, {"const": True}), value=1)
@example(change=({"contains": {"type": "null"}, "minContains": 0}, {"contains": {"type": "null"}}), value=[])
def test_a_value_that_is_no_longer_valid_is_never_passed_over(change: tuple[Any, Any], value: Any) -> None:
    """Wherever a validator sees a break, at least one is reported, whichever rules have changed."""
    old, new = change
    before = {REQUEST: {"type": "object", "properties": {"member": old}}}
    after = {REQUEST: {"type": "object", "properties": {"member": new}}}
    is_broken = valid(old, value) and not valid(new, value)

    assert not is_broken or list(breaking_changes(before, after))


def valid(rules: Any, value: Any) -> bool:
    """Tell whether a validator accepts the value."""
    return bool(Draft202012Validator(rules).is_valid(value))


@given(rules=RULESETS)
def test_rules_that_stay_as_they_are_are_never_reported(rules: Any) -> None:
    """A contract breaks nothing by itself, whatever its keywords."""
    schemas = {name: {"type": "object", "properties": {"member": rules}} for name in (REQUEST, REJECTED)}
    assert not list(breaking_changes(schemas, copy.deepcopy(schemas)))
