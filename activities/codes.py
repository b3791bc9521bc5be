"""One-time codes: derived and sealed under a ring of keys, never stored (SECURITY S1, S8)."""

import hmac
import unicodedata
from collections.abc import Mapping

from activities.errors import UnknownKey
from activities.keyed import base64url, checked_key, keyed_digest

_CODE_LABEL = "signin-worker code"
_SEAL_LABEL = "signin-worker seal"


class CodeKeys:
    """The ring of code keys by id, newest first.

    Rotation takes two steps: append the new key on every worker, then move it to the front.
    """

    def __init__(self, ring: Mapping[str, bytes]) -> None:
        if not ring:
            raise ValueError("the ring of code keys needs a key")
        self._ring = {key_id: checked_key(key) for key_id, key in ring.items()}
        self.newest_id = next(iter(self._ring))

    def derive(self, key_id: str, account: str, signin_id: str, nonce: str, digits: int) -> str:
        """Return the code of a sign-in: the same arguments give the same code.

        Raises ``UnknownKey``. The digest is read as an integer below 2**256 and reduced modulo
        10**digits. Since 2**256 is not a multiple of 10**digits, some codes are likelier than
        others, by less than one part in 10**66. Rejection sampling would gain nothing.
        """
        key = self._key(key_id)
        digest = keyed_digest(key, _CODE_LABEL, account, signin_id, nonce, str(digits))
        code = int.from_bytes(digest) % 10**digits
        return f"{code:0{digits}d}"

    def seal(self, signin_id: str, code: str, key_id: str | None = None) -> tuple[str, str]:
        """Return a key id (the newest by default) and the seal of a code as typed.

        Raises ``UnknownKey``. A seal can be compared but not read, cannot be guessed without the
        key, and is useless for another sign-in.
        """
        key_id = self.newest_id if key_id is None else key_id
        return key_id, self._sealed(key_id, signin_id, code)

    def matches(self, seal: str, key_id: str, signin_id: str, code: str) -> bool:
        """Tell, in constant time, whether ``seal`` was made of ``code``. Raises ``UnknownKey``."""
        expected = self._sealed(key_id, signin_id, code)
        return hmac.compare_digest(seal.encode(), expected.encode())

    def _sealed(self, key_id: str, signin_id: str, code: str) -> str:
        digest = keyed_digest(self._key(key_id), _SEAL_LABEL, signin_id, normalise_code(code))
        return base64url(digest)

    def _key(self, key_id: str) -> bytes:
        try:
            return self._ring[key_id]
        except KeyError:
            raise UnknownKey from None


def normalise_code(text: str) -> str:
    """Drop blanks and hyphens: people paste, and programs turn a hyphen into other dashes."""
    return "".join(character for character in text if not _is_filler(character))


def _is_filler(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Pd"
