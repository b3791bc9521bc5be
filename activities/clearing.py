"""Records in the audit trail that an operator cleared an account's limits."""

import logging

from temporalio import activity

from activities.audit import audit_clearing
from activities.reporting import context, failure, severity
from schemas.limits import Clearing

logger = logging.getLogger(__name__)


class ClearingActivities:
    """Activities that record what operators do."""

    @activity.defn(name="report_clearing_activity")
    async def report_clearing_activity(self, clearing: Clearing) -> None:
        """Write the clearing to the audit trail. A retry writes it again."""
        try:
            audit_clearing(clearing)
        except Exception as error:
            extra = context(error, account=clearing.account)
            logger.log(severity(error), "clearing not logged", extra=extra)
            raise failure(error) from None
