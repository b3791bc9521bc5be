"""The activities that issue and verify codes."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.codes import CodeKeys
from activities.otp import OtpActivities
from schemas.tasks import CodeToIssue, CodeToVerify
from tests.fakes.activity_calls import called, failing, log_book

OLD = bytes(range(32))
NEW = bytes(range(32, 64))
SIGNIN = "s" * 22
KEYS = CodeKeys({"new": NEW, "old": OLD})
TASK = CodeToIssue(signin_id=SIGNIN, digits=8)


def _submitted(code: str, *, seal_key_id: str = "new", key_id: str = "new", account: str = "ada") -> CodeToVerify:
    _, seal = KEYS.seal(SIGNIN, code, seal_key_id)
    return CodeToVerify(
        signin_id=SIGNIN, account=account, nonce="n", key_id=key_id, digits=8, seal=seal, seal_key_id=seal_key_id
    )


async def _is_correct(task: CodeToVerify) -> bool:
    return (await called().run(OtpActivities(KEYS).verify_otp_activity, task)).correct


async def test_a_code_is_issued_under_the_newest_key() -> None:
    """Only the key's id is returned."""
    issued = await called().run(OtpActivities(KEYS).generate_otp_activity, TASK)
    assert issued.model_dump() == {"key_id": "new"}


async def test_a_code_that_cannot_be_derived_is_not_issued() -> None:
    """A bug shows when the code is issued, not only when the mail is sent."""
    error = await failing(OtpActivities(KEYS).generate_otp_activity, TASK.model_copy(update={"digits": "8"}))
    assert error.type == "UnexpectedError"


@pytest.mark.parametrize("seal_key_id", ["new", "old"])
@pytest.mark.parametrize("key_id", ["new", "old"])
async def test_the_right_code_is_correct_under_every_key_of_the_ring(key_id: str, seal_key_id: str) -> None:
    """Code and seal may use different keys during a rotation. Nothing is logged."""
    code = KEYS.derive(key_id, "ada", SIGNIN, "n", 8)
    typed = f" {code[:4]}-{code[4:]}"

    with log_book() as book:
        assert await _is_correct(_submitted(typed, key_id=key_id, seal_key_id=seal_key_id))

    assert book.records == []


async def test_a_code_is_wrong_for_another_account() -> None:
    """A code is valid only for the account that the sign-in was opened for."""
    code = KEYS.derive("new", "ada", SIGNIN, "n", 8)
    assert not await _is_correct(_submitted(code, account="eve"))


@given(code=st.text(max_size=64))
async def test_any_other_code_is_wrong(code: str) -> None:
    """Whatever its form, it gives a verdict and not an error."""
    right = KEYS.derive("new", "ada", SIGNIN, "n", 8)
    assert await _is_correct(_submitted(code)) is (code == right)


@given(seal=st.text())
async def test_a_forged_seal_is_wrong(seal: str) -> None:
    """Whatever its form, it gives a verdict and not an error."""
    assert not await _is_correct(_submitted("").model_copy(update={"seal": seal}))


async def test_a_wrong_code_is_logged_by_pseudonym() -> None:
    """The line names the sign-in and the account's pseudonym."""
    with log_book() as book:
        await _is_correct(_submitted("00000000"))
    (record,) = book.records
    (extra,) = book.extras()

    assert (record.levelname, extra["signin_id"], extra["account"]) == ("INFO", SIGNIN, "ada")


@pytest.mark.parametrize("missing", ["key_id", "seal_key_id"])
async def test_an_unknown_key_is_retried(missing: str) -> None:
    """Another worker may have it."""
    task = _submitted("00000000").model_copy(update={missing: "gone"})

    with log_book() as book:
        error = await failing(OtpActivities(KEYS).verify_otp_activity, task)

    assert (error.type, error.non_retryable) == ("UnknownKey", False)
    assert [record.levelname for record in book.records] == ["WARNING"]


class _CancelledKeys(CodeKeys):
    """A ring whose calls are cancelled."""

    def derive(self, key_id: str, account: str, signin_id: str, nonce: str, digits: int) -> str:
        """Raise a cancellation."""
        raise asyncio.CancelledError


async def test_a_cancellation_is_not_a_failure() -> None:
    """It passes unchanged and is not logged."""
    generate = OtpActivities(_CancelledKeys({"new": NEW})).generate_otp_activity

    with log_book() as book, pytest.raises(asyncio.CancelledError):
        await called().run(generate, TASK)

    assert book.records == []
