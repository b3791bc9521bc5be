"""A search that finds nothing shows nothing unless it finds what is there."""

import base64
from collections.abc import Callable

import pytest

from tests.redteam.search import Secrets

_CODE = b"40718253"
_MARK = b"ada.712345678901234"
_SECRETS = Secrets({"address": (_MARK,)}, frozenset({_CODE}))


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc", b'{"email":"'])
@pytest.mark.parametrize(
    ("form", "encode"),
    [
        ("in clear", bytes),
        ("in base64", base64.b64encode),
        ("in base64", base64.urlsafe_b64encode),
        ("in base64", lambda text: base64.b64encode(text).rstrip(b"=")),
        ("in hex", lambda text: text.hex().encode()),
        ("in hex", lambda text: text.hex().upper().encode()),
        ("URL-encoded", lambda text: "".join(f"%{byte:02x}" for byte in text).encode()),
    ],
)
@pytest.mark.parametrize(("kind", "secret"), [("address", _MARK), ("code", _CODE + b".")])
def test_what_is_there_is_found(
    before: bytes, form: str, encode: Callable[[bytes], bytes], kind: str, secret: bytes
) -> None:
    """In every form, wherever in a group of characters it begins, between others of the alphabet."""
    hidden = b'x"token": "' + encode(before + secret) + b'", '
    assert f"{kind} {form}" in _SECRETS.found_in(hidden)


def test_what_is_not_there_is_not_found() -> None:
    """Neither longer numbers that hold a code's digits, nor the digits of a mark in another order."""
    assert not _SECRETS.found_in(b"1.7940718253e9 407182530 ada.712345678901243 407 182 53 %zz QUJD")
