"""Registered names and workflow ids: how others address the workflows."""

from typing import Final

SIGN_IN_WORKFLOW: Final = "sign_in_workflow"
VERIFY_OTP_WORKFLOW: Final = "verify_otp_workflow"

SUBMIT_SIGNAL: Final = "submit"
OPEN_OR_RESEND_SIGNAL: Final = "open_or_resend"
REFUSE_RESEND_SIGNAL: Final = "refuse_resend"
REJECT_SIGNAL: Final = "reject"

STATUS_QUERY: Final = "status"
LIMITS_QUERY: Final = "limits"
CLEAR_LIMITS_UPDATE: Final = "clear_limits"

MAILBOX_SUMMARY: Final = "mailbox"
STATE_ATTRIBUTE: Final = "SigninState"
LOCKED_UNTIL_ATTRIBUTE: Final = "SigninLockedUntil"


def mailbox_task_queue(task_queue: str) -> str:
    """Return the task queue of the mailboxes.

    It is a separate queue, so that a flood of requests cannot delay verdicts.
    """
    return f"{task_queue}-mailbox"


def mail_task_queue(task_queue: str) -> str:
    """Return the task queue for mail.

    The server enforces the queue's rate, which limits the mails of all workers together.
    """
    return f"{task_queue}-mail"


def sign_in_workflow_id(signin_id: str, attempt: int) -> str:
    """Return the id of one request's workflow."""
    return f"signin/{signin_id}/{attempt}"


def mailbox_workflow_id(mailbox: str) -> str:
    """Return the id of a mailbox's workflow.

    ``mailbox`` is the pseudonym, never the address: workflow ids are not encrypted.
    """
    return f"mailbox/{mailbox}"
