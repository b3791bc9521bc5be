"""The activity that checks addresses."""

import pytest

from activities.email_check import EmailActivities
from activities.pseudonyms import Pseudonyms
from schemas.tasks import EmailToCheck, EmailVerdict
from tests.fakes.activity_calls import WORKFLOW_ID, called, failing, log_book
from tests.fakes.mail_domains import FakeMailDomains

PSEUDONYMS = Pseudonyms(bytes(32))


async def _check(email: str, domains: FakeMailDomains) -> EmailVerdict:
    activities = EmailActivities(domains, PSEUDONYMS)
    return await called().run(activities.validate_email_activity, EmailToCheck(email=email))


async def test_a_valid_address_gets_its_pseudonyms() -> None:
    """Two spellings of one account get the same ones, and nothing is logged."""
    domains = FakeMailDomains()
    with log_book() as book:
        one = await _check("Ada+t@x.test", domains)
        other = await _check(" ada+t@X.test. ", domains)

    assert one == other
    assert one.reason is None and one.account and one.mailbox and one.account != one.mailbox
    assert book.records == []


@pytest.mark.parametrize("email", ["", "ada", "ada@x.test\r\nBcc: eve@x.test", "ada@[127.0.0.1]"])
async def test_invalid_text_has_no_pseudonyms(email: str) -> None:
    """DNS is not queried, and the log has the reason."""
    domains = FakeMailDomains()
    with log_book() as book:
        assert await _check(email, domains) == EmailVerdict(reason="invalid_email")

    assert domains.asked == []
    assert [extra["reason"] for extra in book.extras()] == ["invalid_email"]


async def test_a_domain_without_mail_is_undeliverable() -> None:
    """It still has pseudonyms, since a later attempt must be for the same account."""
    with log_book() as book:
        verdict = await _check("ada@bücher.test", FakeMailDomains({"xn--bcher-kva.test"}))
    (extra,) = book.extras()

    assert verdict.reason == "undeliverable_email"
    assert verdict.account and verdict.mailbox
    assert (extra["workflow_id"], extra["reason"]) == (WORKFLOW_ID, "undeliverable_email")


class _BrokenDomains:
    """A resolver with a bug: it raises an error that no port may raise."""

    async def accept_mail(self, domain: str) -> bool:
        """Raise the domain."""
        raise RuntimeError(domain)


async def test_a_bug_in_the_resolver_is_retried() -> None:
    """It is raised as an unexpected error and logged at level error."""
    check = EmailActivities(_BrokenDomains(), PSEUDONYMS).validate_email_activity

    with log_book() as book:
        error = await failing(check, EmailToCheck(email="ada@x.test"))
    (record,) = book.records

    assert (error.type, error.non_retryable) == ("UnexpectedError", False)
    assert (record.levelname, record.getMessage()) == ("ERROR", "address not checked")
