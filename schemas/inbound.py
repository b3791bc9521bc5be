"""The two events that upstream services emit (CONTRACT: inbound events)."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from schemas.fields import Attempt, Flag, Message, SignInId, SubmissionId, Text, Timestamp

_LONGEST_CLIENT_TEXT = 512


def _cut(value: str | None) -> str | None:
    return None if value is None else value[:_LONGEST_CLIENT_TEXT]


def _false_if_null(value: Any) -> Any:
    return False if value is None else value


def _empty_if_null(value: Any) -> Any:
    return {} if value is None else value


CutText = Annotated[Text | None, AfterValidator(_cut)]
"""Text of at most 512 characters; longer text is cut."""


class Client(Message):
    """Who asks, as the emitter saw it. Every member may be missing."""

    ip: CutText = None
    user_agent: CutText = None
    locale: CutText = None
    trusted_device: Annotated[Flag, BeforeValidator(_false_if_null, json_schema_input_type=bool | None)] = False


class SignInRequested(Message):
    """``signin.requested``: a person wants a code by e-mail, or wants it again (attempt 2 and up)."""

    signin_id: SignInId
    attempt: Attempt = 1
    email: Annotated[Text, Field(min_length=1, max_length=320)]
    requested_at: Timestamp
    turnstile_token: Text | None = None
    client: Annotated[Client, BeforeValidator(_empty_if_null, json_schema_input_type=Client | None)] = Client()


class OtpSubmitted(Message):
    """``otp.submitted``: a person typed a code."""

    submission_id: SubmissionId
    signin_id: SignInId
    email: Annotated[Text, Field(min_length=1, max_length=320)]
    code: Annotated[Text, Field(min_length=1, max_length=64, repr=False)]
    submitted_at: Timestamp
