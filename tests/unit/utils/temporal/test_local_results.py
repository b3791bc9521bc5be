"""What local activities published is recognised by the ids of results."""

from datetime import UTC, datetime

from schemas.results import CodeSent, OtpRejected, ResultEvent, SignInFailed, SignInSucceeded
from schemas.signals import Submission
from utils.temporal.local_results import LocalResults

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
SIGNIN = "s" * 22
SUBMISSION = Submission(
    signin_id=SIGNIN,
    submission_id="submission-00000001",
    account="ada",
    seal="seal",
    key_id="k",
    submitted_at=NOW,
    read_at=NOW,
)


def test_mails_and_verdicts_are_recognised() -> None:
    """Those of other sign-ins are not."""
    about = {"signin_id": SIGNIN, "account": "ada", "occurred_at": NOW}
    results = (
        CodeSent(**about, attempt=2, expires_at=NOW, resend_after=NOW),
        OtpRejected(**about, submission_id=SUBMISSION.submission_id, reason="wrong_code", attempts_left=0),
        SignInSucceeded(**about, submission_id=SUBMISSION.submission_id),
        SignInFailed(**about, reason="too_many_attempts"),
        SignInSucceeded(**about | {"signin_id": "t" * 22}, submission_id=SUBMISSION.submission_id),
    )
    local = LocalResults(SIGNIN)
    local.add_mail(1)
    local.add_mail(2)
    local.add_submission(SUBMISSION)

    found = local.among([ResultEvent(result=result).event_id for result in results])

    assert [(one.type, one.details) for one in found] == [
        ("signin.code_sent", {"attempt": 2}),
        ("otp.rejected", {"reason": "wrong_code"}),
        ("signin.succeeded", {}),
        ("signin.failed", {"reason": "too_many_attempts"}),
    ]
