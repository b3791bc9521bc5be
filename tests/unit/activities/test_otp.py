"""Issuing and verifying codes."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.codes import CodeKeys
from activities.otp import OtpActivities
from schemas.tasks import CodeToIssue, CodeToVerify
from tests.fakes.activity_calls import called, failing, log_book

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
SIGNIN = "s" * 22
KEYS = CodeKeys({"new": NEW, "old": OLD})
TASK = CodeToIssue(signin_id=SIGNIN, account="ada", nonce="n", digits=8)


def _submitted(code: str, *, seal_key_id: str = "new", key_id: str = "new", account: str = "ada") -> CodeToVerify:
    _, seal = KEYS.seal(SIGNIN, code, seal_key_id)
    return CodeToVerify(
        signin_id=SIGNIN, account=account, nonce="n", key_id=key_id, digits=8, seal=seal, seal_key_id=seal_key_id
    )


async def _is_correct(task: CodeToVerify) -> bool:
    return (await called().run(OtpActivities(KEYS).verify_otp_activity, task)).correct


async def test_a_code_is_issued_under_the_newest_key() -> None:
    """Only the id of the key comes back."""
    issued = await called().run(OtpActivities(KEYS).generate_otp_activity, TASK)
    assert issued.model_dump() == {"key_id": "new"}


async def test_a_code_that_cannot_be_derived_is_not_issued() -> None:
    """A bug shows when the code is issued, not when the mail is due."""
    error = await failing(OtpActivities(KEYS).generate_otp_activity, TASK.model_copy(update={"digits": "8"}))
    assert error.type == "UnexpectedError"


@pytest.mark.parametrize("seal_key_id", ["new", "old"])
@pytest.mark.parametrize("key_id", ["new", "old"])
async def test_the_right_code_is_correct_under_any_key_of_the_ring(key_id: str, seal_key_id: str) -> None:
    """Code and seal may be of different keys while a rotation is under way. Nothing is logged."""
    code = KEYS.derive(key_id, "ada", SIGNIN, "n", 8)
    with log_book() as book:
        assert await _is_correct(_submitted(f" {code[:4]}-{code[4:]}", key_id=key_id, seal_key_id=seal_key_id))
    assert book.records == []


async def test_a_code_is_of_no_use_for_another_account() -> None:
    """It belongs to the account that the sign-in was opened for."""
    code = KEYS.derive("new", "ada", SIGNIN, "n", 8)
    assert not await _is_correct(_submitted(code, account="eve"))


@given(code=st.text(max_size=64))
async def test_any_other_code_is_wrong(code: str) -> None:
    """Whatever its form, it is a verdict and no error."""
    right = KEYS.derive("new", "ada", SIGNIN, "n", 8)
    assert await _is_correct(_submitted(code)) is (code == right)


@given(seal=st.text())
async def test_a_forged_seal_is_wrong(seal: str) -> None:
    """Whatever its form."""
    assert not await _is_correct(_submitted("").model_copy(update={"seal": seal}))


async def test_a_wrong_code_is_logged_by_pseudonym() -> None:
    """For the audit: which sign-in of which account."""
    with log_book() as book:
        await _is_correct(_submitted("00000000"))
    (record,), (extra,) = book.records, book.extras()
    assert (record.levelname, extra["signin_id"], extra["account"]) == ("INFO", SIGNIN, "ada")


@pytest.mark.parametrize("missing", ["key_id", "seal_key_id"])
async def test_an_unknown_key_is_tried_again(missing: str) -> None:
    """Another worker may hold it, so nothing was charged for good."""
    task = _submitted("00000000").model_copy(update={missing: "gone"})
    with log_book() as book:
        error = await failing(OtpActivities(KEYS).verify_otp_activity, task)
    assert (error.type, error.non_retryable) == ("UnknownKey", False)
    assert [record.levelname for record in book.records] == ["WARNING"]


class _CancelledKeys(CodeKeys):
    """A ring that is interrupted."""

    def derive(self, key_id: str, account: str, signin_id: str, nonce: str, digits: int) -> str:
        """Stop."""
        raise asyncio.CancelledError


async def test_a_cancellation_is_no_failure() -> None:
    """It passes as it is and is not logged."""
    with log_book() as book, pytest.raises(asyncio.CancelledError):
        await called().run(OtpActivities(_CancelledKeys({"new": NEW})).generate_otp_activity, TASK)
    assert book.records == []
