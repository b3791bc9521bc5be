"""The published contract as a page: every channel and message of ``docs/schemas/asyncapi.json``, with an example."""

import json
from collections.abc import Iterator
from typing import Any, Final

from deploy.local.places import PROJECT

_CONTRACT: Final = PROJECT / "docs" / "schemas" / "asyncapi.json"
_GOLDEN: Final = PROJECT / "tests" / "golden"
_EXAMPLES: Final = {
    "signin.requested": "inbound/requested_plain.json",
    "otp.submitted": "inbound/submitted_plain.json",
    "signin.code_sent": "results/code_sent.json",
    "signin.resend_refused": "results/resend_refused.json",
    "otp.rejected": "results/otp_rejected_wrong_code.json",
    "signin.succeeded": "results/succeeded.json",
    "signin.failed": "results/failed.json",
    "signin.expired": "results/expired.json",
    "signin.rejected": "results/rejected.json",
}
"""A file for each message. They are what the tests compare byte for byte."""

_HEAD: Final = """# AsyncAPI

What is on the wire, as [AsyncAPI 3.0](schemas/asyncapi.json) and JSON Schema say it. This page is written from them;
[Events](events.md) explains what each means. The examples are what the tests compare byte for byte. The member
`unknown` in the first stands for whatever a newer emitter adds: it is ignored.
"""


def rendered() -> str:
    """Return the page."""
    contract = json.loads(_CONTRACT.read_text())
    lines = [_HEAD]

    for operation in contract["operations"].values():
        channel = _at(contract, operation["channel"])
        lines += [f"## {channel['address']}", "", _direction(operation["action"]), ""]
        for reference in channel["messages"].values():
            message = _at(contract, reference)
            if message["name"] != channel["address"]:
                lines += [f"### {message['name']}", ""]
            lines += _message(message)

    return "\n".join(lines)


def _direction(action: str) -> str:
    return "Your service writes, the worker reads." if action == "receive" else "The worker writes, you read."


def _message(message: dict[str, Any]) -> Iterator[str]:
    name = message["name"]
    payload = message["payload"]

    yield _prose(payload["description"])
    yield ""
    if payload.get("properties"):
        yield from _members("member", payload)
        yield f"[JSON Schema](schemas/{name}.schema.json)"
        yield ""
    yield from _members("header", message["headers"])
    if name in _EXAMPLES:
        yield from _example(_EXAMPLES[name])


def _members(kind: str, schema: dict[str, Any]) -> Iterator[str]:
    """Yield a table of members, or nothing if there are none."""
    rows = list(_rows("", schema))
    if not rows:
        return

    yield f"| {kind} | must be there | form |"
    yield "|---|---|---|"
    yield from rows
    yield ""


def _rows(prefix: str, schema: dict[str, Any]) -> Iterator[str]:
    required = _object(schema).get("required", [])
    for name, member in _object(schema).get("properties", {}).items():
        there = "yes" if name in required else ""
        described = _prose(member.get("description", ""))
        yield f"| `{prefix}{name}` | {there} | {_form(member)}{'. ' if described else ''}{described} |"
        yield from _rows(f"{prefix}{name}.", member)


def _object(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema, or of several alternatives the one that has members."""
    return next((each for each in schema.get("anyOf", ()) if "properties" in each), schema)


def _form(member: dict[str, Any]) -> str:
    """Say in a few words what a value looks like."""
    if "const" in member:
        return f"`{member['const']}`"
    if "enum" in member:
        return "one of " + ", ".join(f"`{value}`" for value in member["enum"])
    if "anyOf" in member:
        return " or ".join(_form(each) for each in member["anyOf"])

    kind = str(member.get("format") or member.get("type") or "anything")
    return kind + "".join(_limits(member))


def _limits(member: dict[str, Any]) -> Iterator[str]:
    yield from _range(member, "minimum", "maximum", "")
    yield from _range(member, "minLength", "maxLength", " characters")

    if "pattern" in member and member.get("format") != "date-time":
        pattern = member["pattern"].replace("|", "\\|")
        yield f", `{pattern}`"


def _range(member: dict[str, Any], least: str, most: str, unit: str) -> Iterator[str]:
    if least in member and most in member:
        yield f", {member[least]} to {member[most]}{unit}"
    elif least in member:
        yield f", {member[least]}{unit} or more"
    elif most in member:
        yield f", {member[most]}{unit} or less"


def _example(file: str) -> Iterator[str]:
    golden = json.loads((_GOLDEN / file).read_text())
    record = golden.get("record", golden)
    yield "```json"
    yield json.dumps(json.loads(record["value"]), indent=2, ensure_ascii=False)
    yield "```"
    yield ""


def _prose(text: str) -> str:
    """Return a docstring's text on one line, with code as Markdown has it."""
    return " ".join(text.replace("``", "`").split())


def _at(contract: dict[str, Any], reference: dict[str, str]) -> Any:
    found: Any = contract
    for part in reference["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return _at(contract, found) if isinstance(found, dict) and "$ref" in found else found
