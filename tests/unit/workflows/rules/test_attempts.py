"""Later attempts: the code is sent again, or refused while the sign-in goes on."""

import pytest

from schemas.results import CodeSent, ResendRefused
from tests.fakes.mailbox_world import EVE, RIGHT, MailboxWorld, summary
from workflows.rules.jobs import SendMail


def test_a_resend_repeats_the_code_and_does_not_extend_it(world: MailboxWorld) -> None:
    """The second mail has the same nonce and the same end (SECURITY S10)."""
    signin_id = world.mailed_sign_in()
    world.wait(60)
    world.attempt(signin_id, 2)
    mail = world.take_job()

    assert isinstance(mail, SendMail)
    assert mail.task.nonce == f"nonce-{signin_id}"
    assert mail.task.attempt == 2

    world.finish(mail)
    world.run_jobs()
    first, second = world.results()

    assert isinstance(first, CodeSent) and isinstance(second, CodeSent)
    assert second.expires_at == first.expires_at
    assert second.attempt == 2


def test_a_resend_does_not_restore_tries(world: MailboxWorld) -> None:
    """After four wrong codes and a second mail, one try is left."""
    signin_id = world.sign_in()
    world.submit_wrong(signin_id, 4)
    world.run_jobs()

    world.wait(60)
    world.attempt(signin_id, 2)
    world.submit_wrong(signin_id, 1)

    assert world.outcomes()[-2:] == [
        "otp.rejected wrong_code",
        "signin.failed too_many_attempts",
    ]


@pytest.mark.parametrize(
    ("wait_s", "changes", "reason", "retry_after_s"),
    [
        (59, {}, "throttled", 1),
        (10.5, {}, "throttled", 50),
        (100, {"account": EVE}, "account_mismatch", None),
        (241, {}, "expiring", None),
    ],
)
def test_a_refused_attempt_leaves_the_sign_in_live(
    world: MailboxWorld,
    wait_s: float,
    changes: dict[str, str],
    reason: str,
    retry_after_s: int | None,
) -> None:
    """The reason is the cooldown, another account, or that the end is near."""
    signin_id = world.mailed_sign_in()
    world.wait(wait_s)
    world.attempt(signin_id, 2, **changes)
    result = world.last_result()

    assert isinstance(result, ResendRefused)
    assert (result.reason, result.retry_after_s, result.attempt) == (reason, retry_after_s, 2)

    world.submit(signin_id, RIGHT)

    assert world.outcomes()[-1] == "signin.succeeded"


def test_a_resend_is_accepted_60_seconds_before_the_end(world: MailboxWorld) -> None:
    """With exactly 60 s left, a mail still makes sense."""
    signin_id = world.mailed_sign_in()
    world.wait(240)
    world.attempt(signin_id, 2)
    assert world.outcomes() == ["signin.code_sent"] * 2


def test_a_stale_attempt_is_refused(world: MailboxWorld) -> None:
    """An attempt that lay in Kafka for more than 300 s is stale."""
    born_at = world.now
    world.wait(200)
    signin_id = world.mailed_sign_in()
    world.wait(101)

    world.attempt(signin_id, 2, born_at=born_at)

    assert summary(world.last_result()) == "signin.resend_refused stale"


def test_a_refusal_is_published_once_and_never_after_the_end(world: MailboxWorld) -> None:
    """A repeated refusal publishes nothing, nor does a refusal after the sign-in has ended."""
    signin_id = world.mailed_sign_in()
    world.refuse(signin_id, 2)
    world.refuse(signin_id, 2)
    world.attempt(signin_id, 2)

    world.submit(signin_id, RIGHT)
    world.run_jobs()
    world.refuse(signin_id, 3)

    assert world.outcomes() == [
        "signin.code_sent",
        "signin.resend_refused challenge_failed",
        "signin.succeeded",
    ]


def test_a_refused_attempt_spends_nothing(world: MailboxWorld) -> None:
    """Attempts within the cooldown do not prolong it (SECURITY S5)."""
    signin_id = world.mailed_sign_in()
    for attempt in range(2, 20):
        world.attempt(signin_id, attempt)

    world.wait(60)
    world.attempt(signin_id, 20)

    assert world.outcomes()[-1] == "signin.code_sent"


def test_a_duplicate_attempt_changes_nothing(world: MailboxWorld) -> None:
    """An attempt is applied once, while its sign-in is live and after its end."""
    signin_id = world.sign_in()
    world.sign_in(signin_id)
    world.run_jobs()
    world.wait(60)
    world.attempt(signin_id, 2)
    world.attempt(signin_id, 2)
    world.run_jobs()

    world.submit(signin_id, RIGHT)
    world.run_jobs()
    world.sign_in(signin_id)
    world.attempt(signin_id, 3)

    assert world.outcomes() == ["signin.code_sent"] * 2 + ["signin.succeeded"]
