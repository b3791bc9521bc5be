"""What is said about addresses."""

import pytest

from activities.email_check import EmailActivities
from activities.pseudonyms import Pseudonyms
from schemas.tasks import EmailToCheck, EmailVerdict
from tests.fakes.activity_calls import WORKFLOW_ID, called, failing, log_book
from tests.fakes.mail_domains import FakeMailDomains

PSEUDONYMS = Pseudonyms(bytes(32))


async def _check(email: str, domains: FakeMailDomains) -> EmailVerdict:
    return await called().run(EmailActivities(domains, PSEUDONYMS).validate_email_activity, EmailToCheck(email=email))


async def test_a_good_address_gets_its_pseudonyms() -> None:
    """Spellings of one account share it, and nothing is logged."""
    domains = FakeMailDomains()
    with log_book() as book:
        one, other = await _check("Ada+t@x.test", domains), await _check(" ada+t@X.test. ", domains)
    assert one == other
    assert one.reason is None and one.account and one.mailbox and one.account != one.mailbox
    assert book.records == []


@pytest.mark.parametrize("email", ["", "ada", "ada@x.test\r\nBcc: eve@x.test", "ada@[127.0.0.1]"])
async def test_what_is_no_address_has_no_pseudonyms(email: str) -> None:
    """And DNS is not asked for it."""
    domains = FakeMailDomains()
    with log_book() as book:
        assert await _check(email, domains) == EmailVerdict(reason="invalid_email")
    assert domains.asked == []
    assert [extra["reason"] for extra in book.extras()] == ["invalid_email"]


async def test_a_domain_without_mail_is_undeliverable() -> None:
    """The pseudonyms are there nevertheless: a later attempt must be for the same account."""
    with log_book() as book:
        verdict = await _check("ada@bücher.test", FakeMailDomains({"xn--bcher-kva.test"}))
    assert verdict.reason == "undeliverable_email"
    assert verdict.account and verdict.mailbox
    (extra,) = book.extras()
    assert (extra["workflow_id"], extra["reason"]) == (WORKFLOW_ID, "undeliverable_email")


class _BrokenDomains:
    """A resolver with a bug."""

    async def accept_mail(self, domain: str) -> bool:
        """Fail."""
        raise RuntimeError(domain)


async def test_a_bug_in_the_resolver_is_tried_again() -> None:
    """It leaves as an unexpected error, logged as one."""
    with log_book() as book:
        error = await failing(
            EmailActivities(_BrokenDomains(), PSEUDONYMS).validate_email_activity, EmailToCheck(email="ada@x.test")
        )
    assert (error.type, error.non_retryable) == ("UnexpectedError", False)
    (record,) = book.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "address not checked")
