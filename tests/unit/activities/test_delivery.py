"""The activity that sends the mail with the code (SECURITY S13)."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from activities.codes import CodeKeys
from activities.delivery import DeliveryActivities
from activities.errors import MailRefused, MailUnavailable, SideEffectError
from schemas.tasks import MailToSend
from tests.fakes.activity_calls import called, failing, log_book
from tests.fakes.mailer import FakeMailer

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
KEYS = CodeKeys({"k": bytes(32)})
TASK = MailToSend(
    signin_id="s" * 22,
    attempt=1,
    email="Ada@x.test",
    account="ada",
    nonce="n",
    key_id="k",
    digits=8,
    expires_at=NOW + timedelta(seconds=300),
    requested_at=NOW,
    locale="de-CH",
    ip="203.0.113.7",
    browser="Firefox",
)


def _activities(mailer: FakeMailer) -> DeliveryActivities:
    return DeliveryActivities(mailer, KEYS, "mail.x.test", lambda: NOW)


async def _message_id(**changes: object) -> str:
    mailer = FakeMailer()
    await called().run(_activities(mailer).send_email_activity, TASK.model_copy(update=changes))
    return mailer.sent[0].message_id


async def test_the_mail_has_the_code_and_goes_to_the_address_as_given() -> None:
    """The other members are passed through."""
    mailer = FakeMailer()
    await called().run(_activities(mailer).send_email_activity, TASK)

    (mail,) = mailer.sent
    assert mail.recipient == "Ada@x.test"
    assert mail.code.get_secret_value() == KEYS.derive("k", "ada", "s" * 22, "n", 8)
    assert (mail.expires_at, mail.requested_at) == (TASK.expires_at, NOW)
    assert (mail.locale, mail.ip, mail.browser) == ("de-CH", "203.0.113.7", "Firefox")


async def test_a_retry_has_the_same_message_id() -> None:
    """Mail servers then drop the repeat, whatever else has changed."""
    assert await _message_id() == await _message_id(email="other@x.test", nonce="m", browser=None)


async def test_a_mail_that_was_sent_is_not_sent_again() -> None:
    """Temporal asks again if it did not hear of the first try. The answer tells when that one was accepted."""
    mailer = FakeMailer()
    times = iter([NOW, NOW + timedelta(seconds=1), NOW + timedelta(seconds=9)])
    activities = DeliveryActivities(mailer, KEYS, "mail.x.test", lambda: next(times))

    first = await called().run(activities.send_email_activity, TASK)
    second = await called().run(activities.send_email_activity, TASK)

    assert (first.at, second.at, len(mailer.tried)) == (NOW + timedelta(seconds=1),) * 2 + (1,)


async def test_a_mail_that_failed_is_sent_again() -> None:
    """So is the mail of another attempt."""
    mailer = FakeMailer()
    mailer.script(TASK.email, MailUnavailable)
    activities = _activities(mailer)

    await failing(activities.send_email_activity, TASK)
    await called().run(activities.send_email_activity, TASK)
    await called().run(activities.send_email_activity, TASK.model_copy(update={"attempt": 2}))

    assert (len(mailer.tried), len(mailer.sent)) == (3, 2)


async def test_each_sign_in_and_attempt_has_its_own_message_id() -> None:
    """The id reveals neither of them."""
    ids = [await _message_id(), await _message_id(attempt=2), await _message_id(signin_id="t" * 22)]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"<[A-Za-z0-9_-]{43}@mail\.x\.test>", message_id) for message_id in ids)


@pytest.mark.parametrize("seconds", [0, 1, 3600])
async def test_no_mail_is_sent_once_the_code_has_expired(seconds: int) -> None:
    """A code is expired at the very moment of its expiry. There is no retry."""
    mailer = FakeMailer()
    task = TASK.model_copy(update={"expires_at": NOW - timedelta(seconds=seconds)})

    error = await failing(_activities(mailer).send_email_activity, task)

    assert (error.type, error.non_retryable) == ("CodeExpired", True)
    assert mailer.tried == []


async def test_a_mail_that_is_not_accepted_before_its_code_expires_is_given_up() -> None:
    """The mail server is slow. There is no retry, and no success that comes too late."""
    mailer = FakeMailer()
    mailer.hold()
    task = TASK.model_copy(update={"expires_at": NOW + timedelta(milliseconds=1)})

    error = await failing(_activities(mailer).send_email_activity, task)

    assert (error.type, error.non_retryable) == ("CodeExpired", True)
    assert (len(mailer.tried), mailer.sent) == (1, [])


async def test_a_refusal_says_when_it_came() -> None:
    """The workflow publishes that moment."""
    mailer = FakeMailer()
    mailer.script(TASK.email, MailRefused)

    assert (await failing(_activities(mailer).send_email_activity, TASK)).details == (NOW.isoformat(),)


@pytest.mark.parametrize(("answer", "final"), [(MailRefused, True), (MailUnavailable, False)])
async def test_only_a_refused_mail_is_not_retried(answer: type[SideEffectError], final: bool) -> None:
    """The log names the sign-in, the attempt and the error."""
    mailer = FakeMailer()
    mailer.script(TASK.email, answer)

    with log_book() as book:
        error = await failing(_activities(mailer).send_email_activity, TASK)

    assert (error.type, error.non_retryable) == (answer.__name__, final)

    (record,) = book.records
    (extra,) = book.extras()

    assert (record.levelname, extra["signin_id"], extra["attempt"]) == ("WARNING", TASK.signin_id, 1)
    assert extra["error"] == answer.__name__


async def test_an_unknown_key_is_retried() -> None:
    """Another worker may have the key."""
    mailer = FakeMailer()
    task = TASK.model_copy(update={"key_id": "gone"})

    error = await failing(_activities(mailer).send_email_activity, task)

    assert (error.type, error.non_retryable) == ("UnknownKey", False)
    assert mailer.tried == []
