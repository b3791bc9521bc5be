"""The search for secrets finds those that are there, and only those."""

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
        ("in plaintext", bytes),
        ("in base64", base64.b64encode),
        ("in base64", base64.urlsafe_b64encode),
        ("in base64", lambda text: base64.b64encode(text).rstrip(b"=")),
        ("in hex", lambda text: text.hex().encode()),
        ("in hex", lambda text: text.hex().upper().encode()),
        ("URL-encoded", lambda text: "".join(f"%{byte:02x}" for byte in text).encode()),
    ],
)
@pytest.mark.parametrize(("kind", "secret"), [("address", _MARK), ("code", _CODE + b".")])
def test_a_secret_is_found_in_every_form(
    before: bytes, form: str, encode: Callable[[bytes], bytes], kind: str, secret: bytes
) -> None:
    """A secret is found in every form, at any offset within a group of characters, among other text."""
    hidden = b'x"token": "' + encode(before + secret) + b'", '
    assert f"{kind} {form}" in _SECRETS.found_in(hidden)


def test_similar_bytes_are_not_found() -> None:
    """Longer numbers that contain a code, and a mark with its digits in another order, are not reported."""
    assert not _SECRETS.found_in(b"1.7940718253e9 407182530 ada.712345678901243 407 182 53 %zz QUJD")
