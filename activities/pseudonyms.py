"""Pseudonyms: how accounts and mailboxes are called outside of memory (ids, signals, results), never by address."""

from activities.addresses import Address
from activities.keyed import base64url, checked_key, keyed_digest

_ACCOUNT_LABEL = "signin-worker account"
_MAILBOX_LABEL = "signin-worker mailbox"


class Pseudonyms:
    """Makes pseudonyms under ``SIGNIN_KEYS__ACCOUNT``, which cannot be rotated: 43 characters of base64url."""

    def __init__(self, key: bytes) -> None:
        self._key = checked_key(key)

    def account(self, address: Address) -> str:
        """Return the account's pseudonym: who signs in."""
        return base64url(keyed_digest(self._key, _ACCOUNT_LABEL, address.account))

    def mailbox(self, address: Address) -> str:
        """Return the mailbox's pseudonym: whose send budget it is."""
        return base64url(keyed_digest(self._key, _MAILBOX_LABEL, address.mailbox))
