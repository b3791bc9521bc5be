"""Results on their way to downstream."""

import logging

from temporalio import activity

from activities.audit import audit
from activities.ports import Publisher
from activities.reporting import context, failure, severity
from schemas.results import ResultEvent

logger = logging.getLogger(__name__)


class PublishingActivities:
    """What writes to the results topic."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    @activity.defn(name="publish_result_activity")
    async def publish_result_activity(self, event: ResultEvent) -> None:
        """Return once Kafka acknowledged the result; the audit trail tells it then. A repeat is the same bytes."""
        try:
            await self._publisher.publish(event)
        except Exception as error:
            extra = context(error, signin_id=event.result.signin_id, result=event.result.type)
            logger.log(severity(error), "result not published", extra=extra)
            raise failure(error) from None
        audit(event)
