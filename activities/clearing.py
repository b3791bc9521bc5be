"""What an operator did to a mailbox, on its way into the audit trail."""

import logging

from temporalio import activity

from activities.audit import audit_clearing
from activities.reporting import context, failure, severity
from schemas.limits import Clearing

logger = logging.getLogger(__name__)


class ClearingActivities:
    """What is told of operators."""

    @activity.defn(name="report_clearing_activity")
    async def report_clearing_activity(self, clearing: Clearing) -> None:
        """Tell the audit trail who gave which budgets back. Tried again, it is told again."""
        try:
            audit_clearing(clearing)
        except Exception as error:
            logger.log(severity(error), "clearing not told", extra=context(error, account=clearing.account))
            raise failure(error) from None
