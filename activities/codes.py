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
        """Return the code of a sign-in: the same arguments give the same code. Raises ``UnknownKey``.

        The digest is read as a whole number below 2**256 and reduced modulo 10**digits. 2**256 is no multiple of it, so
        some codes are likelier than others by less than one part in 10**66: nothing is drawn again to be uniform.
        """
        digest = keyed_digest(self._key(key_id), _CODE_LABEL, account, signin_id, nonce, str(digits))
        return f"{int.from_bytes(digest) % 10**digits:0{digits}d}"

    def seal(self, signin_id: str, code: str, key_id: str | None = None) -> tuple[str, str]:
        """Return the key's id (the newest by default) and the seal of a code as typed. Raises ``UnknownKey``.

        A seal can be compared but not read, nor guessed without the key; it is of no use for another sign-in.
        """
        key_id = self.newest_id if key_id is None else key_id
        return key_id, base64url(keyed_digest(self._key(key_id), _SEAL_LABEL, signin_id, normalise_code(code)))

    def opens(self, seal: str, key_id: str, signin_id: str, code: str) -> bool:
        """Tell, in constant time, whether ``seal`` was made of ``code``. Raises ``UnknownKey``."""
        return hmac.compare_digest(seal.encode(), self.seal(signin_id, code, key_id)[1].encode())

    def _key(self, key_id: str) -> bytes:
        try:
            return self._ring[key_id]
        except KeyError:
            raise UnknownKey from None


def normalise_code(text: str) -> str:
    """Return ``text`` without blanks and hyphens: people paste, and programs turn a hyphen into any dash."""
    return "".join(character for character in text if not _is_filler(character))


def _is_filler(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Pd"
