"""What may be seen of a dead letter (SECURITY S8): its form, but never a code, an address or a token.

A dead letter is one because it does not have the agreed form. So masking by field names
would miss what it is for: a code may stand under any name, or in bytes that are not
JSON. Instead, every text is shown as its *shape* (``*`` for a letter, ``#`` for a
digit), unless it has a form that no code, address or token has.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from consumers.dead_letters.letters import DeadLetter
from consumers.decode import MAX_VALUE_BYTES, parse_json
from consumers.ports import Headers, Record
from schemas.dead_letters import DltHeader

_MAX_SHAPE: Final = 2_000
_MAX_TEXT: Final = 200
_SHAPE_KEEPS: Final = frozenset("{}[]()<>\"'\\:;,=&/@.-+_ \t\n")
_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")

_ID: Final = r"(?=.{16,64}\Z)[A-Za-z0-9_-]*"
_TIME: Final = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)"
_NUMBER: Final = r"-?\d{1,19}"
_MEDIA_TYPE: Final = r"[a-z]+/[a-z+.-]+(; ?charset=[A-Za-z0-9-]{1,16})?"
_TRACEPARENT: Final = r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
_KAFKA_NAME: Final = r"[A-Za-z0-9._-]{1,249}"
_WORDS: Final = r"[A-Za-z][A-Za-z_.-]{0,63}"
# Names, rules, and a line and a column of five digits at most: no room for a code,
# however it is spaced, and no "@".
_REASON: Final = r"(?!.*(\d[ -]*){6})[\w.:;,/ -]{1,200}"
_NAME: Final = re.compile(r"(?!.*\d{4})[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_MEMBER: Final = re.compile(r'(?<=")([A-Za-z_]{1,40})(?="\s*:)|[^"]+|"')
# What is shown as it is: the value of these names, in lower case, if it has this form.
_SHOWN_AS_IS: Final = {
    name: re.compile(form, re.ASCII)
    for name, form in {
        "signin_id": _ID,
        "submission_id": _ID,
        "attempt": r"\d{1,2}",
        "requested_at": _TIME,
        "submitted_at": _TIME,
        "specversion": r"\d\.\d",
        "ce_specversion": r"\d\.\d",
        "type": _WORDS,
        "ce_type": _WORDS,
        "time": _TIME,
        "ce_time": _TIME,
        "datacontenttype": _MEDIA_TYPE,
        "content-type": _MEDIA_TYPE,
        "traceparent": _TRACEPARENT,
        "ce_traceparent": _TRACEPARENT,
        DltHeader.TOPIC: _KAFKA_NAME,
        DltHeader.PARTITION: _NUMBER,
        DltHeader.OFFSET: _NUMBER,
        DltHeader.TIMESTAMP: _NUMBER,
        DltHeader.GROUP: _KAFKA_NAME,
        DltHeader.ERROR: r"[a-z_]{1,32}",
        DltHeader.REASON: _REASON,
        DltHeader.FAILED_AT: _TIME,
        DltHeader.ATTEMPTS: r"\d{1,9}",
    }.items()
}


def masked_key(key: bytes | None) -> str | None:
    """Return a record's key.

    It is shown as it is if it may be a sign-in's id, as it should.
    """
    return None if key is None else _shown("signin_id", _text(key))


def masked_headers(headers: Headers) -> list[tuple[str, str | None]]:
    """Return headers in their order, with their repeats."""
    return [(_masked_name(name), None if value is None else _shown(name, _text(value))) for name, value in headers]


def masked_letter(letter: DeadLetter) -> dict[str, str | int | None]:
    """Return a dead letter at a glance."""
    provenance = letter.provenance
    topic = _shown(DltHeader.TOPIC, provenance.topic)
    origin = f"{topic}/{provenance.partition}/{provenance.offset}" if topic else None

    return {
        "place": letter.place,
        "origin": origin,
        "error": _shown(DltHeader.ERROR, provenance.error),
        "reason": _shown(DltHeader.REASON, provenance.reason),
        "failed_at": letter.failed_at.isoformat().replace("+00:00", "Z"),
        "attempts": provenance.attempts,
        "signin_id": letter.signin_id,
        "key": masked_key(letter.record.key),
    }


def masked_value(record: Record) -> dict[str, Any]:
    """Return the value's size, and its ``json`` with masked texts, or its ``shape`` if it is not JSON.

    Of bytes that are not text, only the size and the place of the first such byte are
    shown: in a binary format they may be a code as they are.
    """
    value = record.value
    if value is None:
        return {"bytes": None, "note": "tombstone: no value at all"}

    size = {"bytes": len(value)}
    if len(value) <= MAX_VALUE_BYTES:
        try:
            return {**size, "json": masked_json(parse_json(value))}
        except ValueError:
            pass

    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        return {
            **size,
            "note": f"not UTF-8 from byte {error.start} on{_bom(value)}: nothing of it is shown",
        }

    return {**size, "shape": _cut(shape(text[:_MAX_SHAPE]), len(text), _MAX_SHAPE)}


def masked_json(value: Any, name: str = "") -> Any:
    """Return the same structure, in which texts, numbers and unusual names are masked unless known to be harmless."""
    match value:
        case None | bool():
            return value
        case Mapping():
            return {_masked_name(each): masked_json(inner, each) for each, inner in value.items()}
        case list():
            return [masked_json(each) for each in value]
        case str():
            return _shown(name, value)
        case number:
            return number if _is_harmless(name, str(number)) else f"(number) {shape(str(number))}"


def shape(text: str) -> str:
    """Return ``text`` with ``*`` for each letter, ``#`` for each digit, and ``?`` for anything but JSON's punctuation.

    Names of members stay, so that the error can be seen.
    """
    return _MEMBER.sub(lambda found: found[1] or _shape(found[0]), text)


def _shape(text: str) -> str:
    return "".join(_symbol(character) for character in text)


def _symbol(character: str) -> str:
    if character.isalpha():
        return "*"
    if character.isdigit():
        return "#"
    return character if character in _SHAPE_KEEPS else "?"


def _shown(name: str, text: str) -> str:
    return text if _is_harmless(name, text) else _cut(_shape(text[:_MAX_TEXT]), len(text), _MAX_TEXT)


def _is_harmless(name: str, text: str) -> bool:
    form = _SHOWN_AS_IS.get(name.lower())
    return form is not None and form.fullmatch(text) is not None


def _masked_name(name: str) -> str:
    if _NAME.fullmatch(name):
        return name
    return _cut(" ".join(_shape(name[:_MAX_TEXT]).split()), len(name), _MAX_TEXT)


def _cut(shown: str, length: int, max_length: int) -> str:
    return shown if length <= max_length else f"{shown}… ({length} characters)"


def _bom(value: bytes) -> str:
    return " (it begins with a byte order mark)" if value.startswith(_BOMS) else ""


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
