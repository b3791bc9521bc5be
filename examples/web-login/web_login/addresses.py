"""What is an address. A typing error is told at once, and no code is emitted for what is none."""

import unicodedata
from typing import Final

from email_validator import EmailNotValidError, validate_email

_MAX_LOCAL_BYTES: Final = 64


def as_address(typed: str) -> str | None:
    """Return an address in normal form, without blanks around it; ``None`` for what the worker would not take for one.

    A code for it would be a dead letter, and too many of those stop the worker. So this is as strict
    as the worker, and measures the same text: in normal form some letters are longer. Whether the
    domain exists is the worker's to find out.
    """
    email = unicodedata.normalize("NFC", typed.strip().removesuffix("."))
    try:
        validate_email(email, check_deliverability=False, test_environment=True)
    except (EmailNotValidError, UnicodeEncodeError):
        return None

    return email if len(email.rpartition("@")[0].encode()) <= _MAX_LOCAL_BYTES else None
