"""Checks whether an e-mail address is valid and its domain takes mail (SECURITY S14)."""

import logging

from temporalio import activity

from activities.addresses import parse_address
from activities.ports import MailDomains
from activities.pseudonyms import Pseudonyms
from activities.reporting import context, failure, severity
from schemas.tasks import EmailToCheck, EmailVerdict

logger = logging.getLogger(__name__)


class EmailActivities:
    """Activities that check addresses."""

    def __init__(self, domains: MailDomains, pseudonyms: Pseudonyms) -> None:
        self._domains = domains
        self._pseudonyms = pseudonyms

    @activity.defn(name="validate_email_activity")
    async def validate_email_activity(self, task: EmailToCheck) -> EmailVerdict:
        """Tell whether an address is valid and its domain takes mail, and return its pseudonyms."""
        try:
            verdict = await self._verdict(task.email)
        except Exception as error:
            logger.log(severity(error), "address not checked", extra=context(error))
            raise failure(error) from None

        if verdict.reason is not None:
            logger.info("address rejected", extra=context(reason=verdict.reason))
        return verdict

    async def _verdict(self, email: str) -> EmailVerdict:
        address = parse_address(email)
        if address is None:
            return EmailVerdict(reason="invalid_email")

        accepts_mail = await self._domains.accept_mail(address.domain)
        return EmailVerdict(
            reason=None if accepts_mail else "undeliverable_email",
            account=self._pseudonyms.account(address),
            mailbox=self._pseudonyms.mailbox(address),
        )
