"""Registered names and workflow ids: what the consumer and the activities address workflows by."""

from typing import Final

SIGN_IN_WORKFLOW: Final = "sign_in_workflow"
VERIFY_OTP_WORKFLOW: Final = "verify_otp_workflow"
SUBMIT_SIGNAL: Final = "submit"
OPEN_OR_RESEND_SIGNAL: Final = "open_or_resend"
REFUSE_RESEND_SIGNAL: Final = "refuse_resend"
STATUS_QUERY: Final = "status"
HAS_TAKEN_QUERY: Final = "has_taken"


def sign_in_workflow_id(signin_id: str, attempt: int) -> str:
    """Return the id of one request's workflow."""
    return f"signin/{signin_id}/{attempt}"


def mailbox_workflow_id(mailbox: str) -> str:
    """Return the id of a mailbox's workflow. ``mailbox`` is the pseudonym, never the address: ids are not encrypted."""
    return f"mailbox/{mailbox}"
