"""The two events that upstream services emit (CONTRACT: inbound events)."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictStr

from schemas.fields import Attempt, Message, SignInId, SubmissionId, Timestamp

_MAX_CLIENT_TEXT = 512


def _cut(value: str | None) -> str | None:
    return None if value is None else value[:_MAX_CLIENT_TEXT]


def _false_if_null(value: Any) -> Any:
    return False if value is None else value


def _empty_if_null(value: Any) -> Any:
    return {} if value is None else value


CutText = Annotated[StrictStr | None, AfterValidator(_cut)]
"""Text that is cut after 512 characters."""


class Client(Message):
    """The person's client, as the emitter saw it. Every member is optional."""

    ip: CutText = None
    user_agent: CutText = None
    locale: CutText = None
    trusted_device: Annotated[
        StrictBool,
        BeforeValidator(_false_if_null, json_schema_input_type=bool | None),
    ] = False


class SignInRequested(Message):
    """``signin.requested``: someone wants a code by e-mail, or wants it sent again (attempt 2 and up)."""

    signin_id: SignInId
    attempt: Attempt = 1
    email: Annotated[StrictStr, Field(min_length=1, max_length=320)]
    requested_at: Timestamp
    turnstile_token: StrictStr | None = None
    client: Annotated[
        Client,
        BeforeValidator(_empty_if_null, json_schema_input_type=Client | None),
    ] = Client()


class OtpSubmitted(Message):
    """``otp.submitted``: someone typed a code."""

    submission_id: SubmissionId
    signin_id: SignInId
    email: Annotated[StrictStr, Field(min_length=1, max_length=320)]
    code: Annotated[StrictStr, Field(min_length=1, max_length=64, repr=False)]
    submitted_at: Timestamp
