"""Pseudonyms of accounts and mailboxes, which replace addresses in ids, signals and results."""

from activities.addresses import Address
from activities.keyed import base64url, checked_key, keyed_digest

_ACCOUNT_LABEL = "signin-worker account"
_MAILBOX_LABEL = "signin-worker mailbox"


class Pseudonyms:
    """Derives pseudonyms, 43 characters of base64url, under ``SIGNIN_KEYS__ACCOUNT``.

    That key cannot be rotated.
    """

    def __init__(self, key: bytes) -> None:
        self._key = checked_key(key)

    def account(self, address: Address) -> str:
        """Return the pseudonym of the account: who signs in."""
        return self._pseudonym(_ACCOUNT_LABEL, address.account)

    def mailbox(self, address: Address) -> str:
        """Return the pseudonym of the mailbox: whose send budget is spent."""
        return self._pseudonym(_MAILBOX_LABEL, address.mailbox)

    def _pseudonym(self, label: str, canonical: str) -> str:
        return base64url(keyed_digest(self._key, label, canonical))
